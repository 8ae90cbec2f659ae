"""Which release is active: one small file that is replaced as a whole, by one writer at a time."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.releases.folder import sync_folder, write_durably

POINTER = "active.json"
LOCK = ".lock"


@dataclass(frozen=True)
class Active:
    """The pointer's value; ``generation`` rises by one with every activation and is 0 before the first."""

    release_id: str | None = None
    previous: str | None = None
    generation: int = 0


def read(root: Path) -> Active:
    """The pointer as it is now; empty where nothing was activated yet.

    Raises:
        SnowmeltError: RELEASE_INVALID where the file is damaged.
    """
    try:
        document = json.loads((root / POINTER).read_bytes())
        active = Active(document["release_id"], document["previous"], document["generation"])
    except FileNotFoundError:
        return Active()
    except (ValueError, KeyError, TypeError) as error:
        raise SnowmeltError(Reason.RELEASE_INVALID, f"{POINTER} is damaged; activate a release anew") from error
    if not (isinstance(active.release_id, str) and isinstance(active.generation, int)):
        raise SnowmeltError(Reason.RELEASE_INVALID, f"{POINTER} is damaged; activate a release anew")
    return active


def move(root: Path, release_id: str) -> Active:
    """Points at another release; the caller holds ``locked(root)``. A pointer that is damaged is replaced."""
    try:
        before = read(root)
    except SnowmeltError:
        before = Active()
    previous = before.previous if before.release_id == release_id else before.release_id
    after = Active(release_id, previous, before.generation + 1)
    beside = root / f"{POINTER}.new"
    write_durably(beside, json.dumps(asdict(after)).encode())
    beside.replace(root / POINTER)
    sync_folder(root)
    return after


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Holds the root's lock against every other thread and process that takes it."""
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
