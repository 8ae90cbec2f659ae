"""What a release says of itself: where it came from, and the size and sha256 of each of its files."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.views import CompiledViews

FORMAT = 1
MANIFEST = "manifest.json"
RELEASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release; ``path`` is relative, with slashes."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Origin:
    """Where a release came from, as the trainer says it.

    Attributes:
        created_at_ms: by the clock of the data.
        lake_versions: the pinned version of each table.
        feature_list_hash: of the columns that the trees read.
        views_hash: ``CompiledViews.values_hash``: of what the features that it learned from mean, not of state alone.
        metrics: figures of the evaluation, by name.
    """

    created_at_ms: int
    tenant: str
    lake_versions: Mapping[str, int]
    clock_offset_ms: int
    feature_list_hash: str
    views_hash: str
    code_version: str
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A release: its id, its origin, its files in the order of their paths."""

    release_id: str
    origin: Origin
    files: tuple[ReleaseFile, ...]

    def is_of(self, views: CompiledViews) -> bool:
        """Whether it learned from features that mean what those of these views do."""
        return self.origin.views_hash == views.values_hash

    def dump(self) -> bytes:
        """The one form in which this manifest is written; the last line seals the others."""
        document = {
            "format": FORMAT,
            "release_id": self.release_id,
            "origin": asdict(self.origin),
            "files": [asdict(file) for file in self.files],
        }
        document["seal"] = _seal(document)
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()

    @classmethod
    def parse(cls, raw: bytes) -> "Manifest":
        """Reads what ``dump`` wrote, and nothing that differs from it by one byte.

        Raises:
            SnowmeltError: RELEASE_INVALID.
        """
        try:
            document: dict[str, Any] = json.loads(raw)
            if document["format"] != FORMAT:
                raise ValueError(f"format {document['format']}, this code reads {FORMAT}")
            files = tuple(ReleaseFile(**file) for file in document["files"])
            manifest = cls(document["release_id"], Origin(**document["origin"]), files)
            same = manifest.dump() == raw
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SnowmeltError(Reason.RELEASE_INVALID, "the release's manifest cannot be read") from error
        if not same:
            raise SnowmeltError(Reason.RELEASE_INVALID, "the release's manifest was changed after it was written")
        return manifest


def check_release_id(release_id: str) -> str:
    """Returns an id of letters, digits, dots, dashes and underscores, at most 64.

    Raises:
        SnowmeltError: INVALID_FIELD.
    """
    if not RELEASE_ID.fullmatch(release_id):
        detail = "a release id is 1 to 64 letters, digits, '.', '-' or '_', and starts with a letter or digit"
        raise SnowmeltError(Reason.INVALID_FIELD, detail, field="release_id")
    return release_id


def _seal(document: Mapping[str, object]) -> str:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
