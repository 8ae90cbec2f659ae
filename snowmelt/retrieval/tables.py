"""What a release holds for retrieval: item vectors, the text encoder, neighbours; saved as plain arrays."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import Keys
from snowmelt.retrieval.index import read_main, write_main
from snowmelt.retrieval.text import TextEncoder, Vectors

VERSION = 1

_OWN = ("keys", "content_hashes", "item_vectors", "evidence", "content_vectors", "gram", "content_map")
_ENCODER = ("vocabulary", "idf", "projection")
_NEIGHBOURS = ("neighbour_starts", "neighbour_items", "neighbour_weights")


@dataclass(frozen=True)
class Neighbours:
    """The top M neighbours of each of T items, by place in the tables.

    Attributes:
        starts: int64[T + 1], where each item's neighbours begin.
        items: int32[n], the neighbours' places, nearest first.
        weights: float32[n].
    """

    starts: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


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
        content_vectors: float32[T, c], of length 1, from content alone.
        gram: float32[d, d], sum over the items of the products of their factors.
        content_map: float32[c, d], from a content vector to an item vector, for items without interactions.
        fold_in: how a user's vector is computed.
        encoder: text to content vector.
        neighbours: item to item.
        item_index, content_index: FAISS indexes of the two kinds of vectors.
    """

    keys: Keys
    content_hashes: Keys
    item_vectors: Vectors
    evidence: Vectors
    content_vectors: Vectors
    gram: Vectors
    content_map: Vectors
    fold_in: FoldIn
    encoder: TextEncoder
    neighbours: Neighbours
    item_index: faiss.Index
    content_index: faiss.Index

    def __len__(self) -> int:
        return len(self.keys)

    def save(self, folder: Path) -> None:
        """Writes .npy, .json and .faiss files into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays().items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        write_main(self.item_index, folder / "item_vectors.faiss")
        write_main(self.content_index, folder / "content_vectors.faiss")
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
            arrays = {
                name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _OWN + _ENCODER + _NEIGHBOURS
            }
            fold_in = FoldIn(**document["fold_in"])
            indexes = [read_main(folder / f"{name}.faiss") for name in ("item_vectors", "content_vectors")]
        except OSError as error:
            raise SnowmeltError(Reason.RELEASE_INVALID, f"a retrieval table is not there: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise SnowmeltError(Reason.RELEASE_INVALID, "a retrieval table is damaged or of another version") from error
        tables = cls(
            **{name: arrays[name] for name in _OWN},
            fold_in=fold_in,
            encoder=TextEncoder(*(arrays[name] for name in _ENCODER)),
            neighbours=Neighbours(*(arrays[name] for name in _NEIGHBOURS)),
            item_index=indexes[0],
            content_index=indexes[1],
        )
        tables.check()
        return tables

    def check(self) -> None:
        """Holds the parts against each other.

        Raises:
            SnowmeltError: RELEASE_INVALID naming what does not fit.
        """
        count, near, encoder = len(self), self.neighbours, self.encoder
        dimensions, content = self.item_vectors.shape[1:], self.content_vectors.shape[1:]
        wanted = {
            "content_hashes": self.content_hashes.shape == (count,),
            "evidence": self.evidence.shape == (count,),
            "item_vectors": len(self.item_vectors) == count and self.item_index.ntotal == count,
            "content_vectors": len(self.content_vectors) == count and self.content_index.ntotal == count,
            "index dimensions": (self.item_index.d, self.content_index.d) == (*dimensions, *content),
            "gram": self.gram.shape == dimensions * 2,
            "content_map": self.content_map.shape == content + dimensions,
            "encoder": encoder.projection.shape == (len(encoder.vocabulary), *content)
            and len(encoder.idf) == len(encoder.vocabulary),
            "neighbours": near.starts.shape == (count + 1,)
            and len(near.items) == len(near.weights) == near.starts[-1]
            and bool(np.all(np.diff(near.starts) >= 0))
            and (not len(near.items) or 0 <= near.items.min() <= near.items.max() < count),
            "keys": bool(np.all(self.keys[1:] > self.keys[:-1])),
        }
        wrong = [name for name, fits in wanted.items() if not fits]
        if wrong:
            raise SnowmeltError(Reason.RELEASE_INVALID, f"the retrieval tables do not fit: {', '.join(wrong)}")

    def _arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        near, encoder = self.neighbours, self.encoder
        own = {name: getattr(self, name) for name in _OWN}
        words = dict(zip(_ENCODER, (encoder.vocabulary, encoder.idf, encoder.projection), strict=True))
        return own | words | dict(zip(_NEIGHBOURS, (near.starts, near.items, near.weights), strict=True))
