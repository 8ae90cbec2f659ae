"""What a release holds for retrieval: item vectors, the text encoder, neighbours; saved as plain arrays."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import Keys
from snowmelt.retrieval.index import read_main, write_main
from snowmelt.retrieval.spans import SparseRows
from snowmelt.retrieval.text import TextEncoder, Vectors

VERSION = 1

_INDEX = "item_vectors.faiss"
_OWN = ("keys", "content_hashes", "item_vectors", "evidence", "gram", "content_map")
_ENCODER = ("vocabulary", "idf")
_SPARSE = ("contents", "neighbours")
_PARTS = ("starts", "columns", "weights")


@dataclass(frozen=True)
class FoldIn:
    """How a user's vector comes from the vectors of recent items: one step of the factorisation that made those.

    Attributes:
        confidence: of an item of full weight against the 1 of every item that was not chosen.
        regularisation: added on the diagonal.
    """

    confidence: float
    regularisation: float


@dataclass(frozen=True)
class RetrievalTables:
    """The tables of one release over T items.

    Attributes:
        keys: uint64[T], rising.
        content_hashes: uint64[T], of the content that the vectors were made from.
        item_vectors: float32[T, d], from interactions and content; searched by inner product.
        evidence: float32[T], 0 to 1: how much of an item vector comes from interactions; the rest comes from content.
        gram: float32[d, d], sum over the items of the products of their factors.
        content_map: float32[V, d], from a content vector to an item vector, for items without interactions.
        contents: T content vectors over the V terms of the encoder.
        neighbours: the top M neighbours of each of the T items, by place in the tables.
        fold_in: how a user's vector is computed.
        encoder: words to content vector.
        item_index: FAISS index of the item vectors.
    """

    keys: Keys
    content_hashes: Keys
    item_vectors: Vectors
    evidence: Vectors
    gram: Vectors
    content_map: Vectors
    contents: SparseRows
    neighbours: SparseRows
    fold_in: FoldIn
    encoder: TextEncoder
    item_index: faiss.Index

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def postings(self) -> SparseRows:
        """The content vectors by term."""
        return self.contents.transposed(len(self.encoder.vocabulary))

    def from_content(self, terms: npt.NDArray[np.int64], weights: Vectors) -> Vectors:
        """float32[d]: the item vector that content alone says, from places and values of a content vector."""
        vector: Vectors = np.sum(self.content_map[terms] * weights[:, None], axis=0, dtype=np.float32)
        return vector

    def save(self, folder: Path) -> None:
        """Writes .npy, .json and .faiss files into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays().items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        write_main(self.item_index, folder / _INDEX)
        document = {"version": VERSION, "items": len(self), "fold_in": asdict(self.fold_in)}
        (folder / "tables.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "RetrievalTables":
        """Opens what ``save`` wrote; the files must have been verified before.

        Raises:
            SnowmeltError: RELEASE_INVALID where a file is missing, of another version, or does not fit the others.
        """
        try:
            document = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
            if document["version"] != VERSION:
                raise ValueError(f"version {document['version']}, this code reads {VERSION}")
            own = dict(zip(_OWN, _read(folder, _OWN), strict=True))
            words = _read(folder, _ENCODER)
            contents, neighbours = (_read(folder, [f"{name}_{part}" for part in _PARTS]) for name in _SPARSE)
            fold_in = FoldIn(**document["fold_in"])
            index = read_main(folder / _INDEX)
        except OSError as error:
            raise SnowmeltError(Reason.RELEASE_INVALID, f"a retrieval table is not there: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise SnowmeltError(Reason.RELEASE_INVALID, "a retrieval table is damaged or of another version") from error
        tables = cls(
            **own,
            contents=SparseRows(*contents),
            neighbours=SparseRows(*neighbours),
            fold_in=fold_in,
            encoder=TextEncoder(*words),
            item_index=index,
        )
        tables.check()
        return tables

    def check(self) -> None:
        """Holds the parts against each other.

        Raises:
            SnowmeltError: RELEASE_INVALID naming what does not fit.
        """
        count, width = len(self), len(self.encoder.vocabulary)
        dimensions = self.item_vectors.shape[1:]
        wanted = {
            "keys": bool(np.all(self.keys[1:] > self.keys[:-1])),
            "content_hashes": self.content_hashes.shape == (count,),
            "evidence": self.evidence.shape == (count,),
            "item_vectors": len(self.item_vectors) == count == self.item_index.ntotal,
            "item_index": (self.item_index.d,) == dimensions,
            "gram": self.gram.shape == dimensions * 2,
            "content_map": self.content_map.shape == (width, *dimensions),
            "idf": self.encoder.idf.shape == (width + 1,),
            "contents": self.contents.fits(count, width),
            "neighbours": self.neighbours.fits(count, count),
        }
        wrong = [name for name, fits in wanted.items() if not fits]
        if wrong:
            raise SnowmeltError(Reason.RELEASE_INVALID, f"the retrieval tables do not fit: {', '.join(wrong)}")

    def _arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        arrays = {name: getattr(self, name) for name in _OWN}
        arrays |= {name: getattr(self.encoder, name) for name in _ENCODER}
        return arrays | {f"{name}_{part}": getattr(getattr(self, name), part) for name in _SPARSE for part in _PARTS}


def _read(folder: Path, names: Iterable[str]) -> list[npt.NDArray[Any]]:
    return [np.load(folder / f"{name}.npy", allow_pickle=False) for name in names]
