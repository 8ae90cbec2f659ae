"""Releases in a folder: publish, verify, activate, roll back, retain."""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.releases import folder, pointer
from snowmelt.releases.manifest import Manifest, Origin, check_release_id
from snowmelt.releases.pointer import Active

PUBLISHING = ".publishing-"


@dataclass(frozen=True)
class Listed:
    """A release as ``list`` shows it; ``fault`` says what is wrong with its manifest, if anything."""

    release_id: str
    active: bool
    manifest: Manifest | None
    fault: str = ""


class ReleaseStore:
    """The releases below one root; many processes may use the same root at once."""

    def __init__(self, url: str) -> None:
        """``url`` is a folder's path, or the same with ``file://`` in front.

        Raises:
            SnowmeltError: INVALID_FIELD for another scheme.
        """
        path = url.removeprefix("file://")
        if "://" in path:
            detail = f"releases live in a folder; the scheme {path.partition('://')[0]}:// is not supported"
            raise SnowmeltError(Reason.INVALID_FIELD, detail, field="releases_url")
        self.root = Path(path)

    def publish(self, build: Callable[[Path], None], origin: Origin) -> str:
        """Lets ``build`` fill a new folder, seals it and shows it under a new id, whole or not at all.

        Raises:
            SnowmeltError: RELEASE_INVALID where ``build`` left what no release may hold.
        """
        moment = datetime.fromtimestamp(origin.created_at_ms / 1000, UTC)
        release_id = f"{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        with pointer.locked(self.root):
            draft = Path(tempfile.mkdtemp(prefix=PUBLISHING, dir=self.root))
            held = _hold(draft)
        try:
            build(draft)
            folder.seal(draft, release_id, origin)
            draft.chmod(0o755)
            draft.rename(self.root / release_id)
            folder.sync_folder(self.root)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        finally:
            os.close(held)
        return release_id

    def verify(self, release_id: str) -> Manifest:
        """Holds each file of a release against its manifest.

        Raises:
            SnowmeltError: INVALID_FIELD, RELEASE_NOT_FOUND, RELEASE_INVALID.
        """
        return folder.verify(self.path(release_id), release_id)

    def path(self, release_id: str) -> Path:
        """A release's folder, whether it is there or not.

        Raises:
            SnowmeltError: INVALID_FIELD.
        """
        return self.root / check_release_id(release_id)

    def list(self) -> tuple[Listed, ...]:
        """Every release, newest first; one whose manifest cannot be read comes last and says why."""
        active = self.active().release_id
        found: list[Listed] = []
        for place in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            if place.name.startswith(".") or not place.is_dir():
                continue
            try:
                manifest = folder.read_manifest(place, place.name)
                found.append(Listed(place.name, place.name == active, manifest))
            except SnowmeltError as error:
                found.append(Listed(place.name, place.name == active, None, error.detail))
        return tuple(sorted(found, key=_age, reverse=True))

    def active(self) -> Active:
        """The active release, the one before it, and the generation.

        Raises:
            SnowmeltError: RELEASE_INVALID where the pointer is damaged.
        """
        return pointer.read(self.root)

    def activate(self, release_id: str, expected_generation: int | None = None) -> Active:
        """Makes a published release the active one, once it is verified.

        Raises:
            SnowmeltError: GENERATION_MISMATCH where ``expected_generation`` is not the present one; as ``verify``.
        """
        self.verify(release_id)
        with pointer.locked(self.root):
            _check_generation(self.root, expected_generation)
            return pointer.move(self.root, release_id)

    def rollback(self, expected_generation: int | None = None) -> Active:
        """Goes back to the release that was active before; once more goes forward again.

        Raises:
            SnowmeltError: NO_RELEASE where none was active before; as ``activate``.
        """
        with pointer.locked(self.root):
            _check_generation(self.root, expected_generation)
            previous = self.active().previous
            if previous is None:
                raise SnowmeltError(Reason.NO_RELEASE, "no other release was active before this one")
            self.verify(previous)
            return pointer.move(self.root, previous)

    def retain(self, keep: int) -> tuple[str, ...]:
        """Deletes all but the newest ``keep`` releases, the active and the previous one, and drafts nobody works on."""
        with pointer.locked(self.root):
            active = self.active()
            kept = {active.release_id, active.previous}
            old = [one.release_id for one in self.list()[keep:] if one.release_id not in kept]
            drafts = [place for place in self.root.glob(f"{PUBLISHING}*") if _abandoned(place)]
            # Under a draft's name first: who is ended in the middle of it leaves no release that lacks files.
            gone = [(self.root / each).rename(self.root / f"{PUBLISHING}{each}") for each in old]
            for place in (*gone, *drafts):
                shutil.rmtree(place)
        return tuple(old)


def _age(listed: Listed) -> tuple[int, str]:
    return (listed.manifest.origin.created_at_ms if listed.manifest else -1, listed.release_id)


def _check_generation(root: Path, expected: int | None) -> None:
    if expected is not None and (present := pointer.read(root).generation) != expected:
        detail = f"the generation is {present}, not {expected}; look at the releases and try again"
        raise SnowmeltError(Reason.GENERATION_MISMATCH, detail)


def _hold(draft: Path) -> int:
    """Marks a draft as being worked on, for as long as the handle is open."""
    handle = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _abandoned(draft: Path) -> bool:
    handle = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
