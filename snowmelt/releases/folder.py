"""A release's folder on disk: written so that a crash leaves it whole or absent, verified before anything opens it."""

import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.releases.manifest import MANIFEST, Manifest, Origin, ReleaseFile

MANIFEST_BYTES_MAX = 4 * 1024 * 1024
PICKLED = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth")
"""Names under which pickled objects travel; a release holds none, since to open one is to run it."""


def seal(folder: Path, release_id: str, origin: Origin) -> Manifest:
    """Writes the manifest of what lies in ``folder`` and brings everything to the disk.

    Raises:
        SnowmeltError: RELEASE_INVALID where the folder holds what no release may hold.
    """
    paths = _paths(folder)
    for path in paths:
        _sync(folder / path)
    manifest = Manifest(release_id, origin, tuple(_described(folder, path) for path in paths))
    write_durably(folder / MANIFEST, manifest.dump())
    for place in {(folder / path).parent for path in (MANIFEST, *paths)}:
        sync_folder(place)
    return manifest


def verify(folder: Path, release_id: str) -> Manifest:
    """Holds each file of a release against its manifest; opens none.

    Raises:
        SnowmeltError: RELEASE_NOT_FOUND; RELEASE_INVALID where a file is missing, changed, left over, a link, a pickle.
    """
    manifest = read_manifest(folder, release_id)
    paths = [path for path in _paths(folder) if path != MANIFEST]
    expected = {file.path: file for file in manifest.files}
    if odd := sorted(set(paths) ^ set(expected)):
        raise SnowmeltError(Reason.RELEASE_INVALID, f"the release has files too many or too few, such as {odd[0]}")
    for path in paths:
        if _described(folder, path) != expected[path]:
            raise SnowmeltError(Reason.RELEASE_INVALID, f"{path} is not as it was published")
    return manifest


def read_manifest(folder: Path, release_id: str) -> Manifest:
    """The manifest alone, which says nothing of the files yet.

    Raises:
        SnowmeltError: RELEASE_NOT_FOUND; RELEASE_INVALID.
    """
    try:
        raw = _read(folder / MANIFEST, MANIFEST_BYTES_MAX)
    except FileNotFoundError:
        raise SnowmeltError(Reason.RELEASE_NOT_FOUND, f"there is no release {release_id}") from None
    manifest = Manifest.parse(raw)
    if manifest.release_id != release_id:
        raise SnowmeltError(Reason.RELEASE_INVALID, f"the manifest is that of {manifest.release_id}, not {release_id}")
    return manifest


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file and waits for the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _paths(folder: Path) -> list[str]:
    """Every file below a folder, sorted; folders are no files.

    Raises:
        SnowmeltError: RELEASE_INVALID for a link, a device or a pickle's name.
    """
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            mode = path.lstat().st_mode
            relative = path.relative_to(folder).as_posix()
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise SnowmeltError(Reason.RELEASE_INVALID, f"{relative} is no plain file; a release holds no links")
            if path.suffix.lower() in PICKLED:
                raise SnowmeltError(
                    Reason.RELEASE_INVALID, f"{relative} has the name of a pickle; a release holds none"
                )
            if stat.S_ISREG(mode):
                found.append(relative)
    return sorted(found)


def _described(folder: Path, path: str) -> ReleaseFile:
    with _opened(folder / path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return ReleaseFile(path, os.fstat(file.fileno()).st_size, digest)


def _read(path: Path, limit: int) -> bytes:
    with _opened(path) as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise SnowmeltError(Reason.RELEASE_INVALID, f"{path.name} is larger than {limit} bytes")
    return raw


def _opened(path: Path) -> BufferedReader:
    """Opens a file and follows no link.

    Raises:
        SnowmeltError: RELEASE_INVALID where it is a link.
    """
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SnowmeltError(Reason.RELEASE_INVALID, f"{path.name} is a link; a release holds none") from None
        raise
