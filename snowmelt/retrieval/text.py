"""Text as vectors without a download: tf-idf over a learnt vocabulary, projected to a few dimensions."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import xxhash

from snowmelt.contracts.ids import Keys, word_key

Vectors = npt.NDArray[np.float32]

_WORD = re.compile(r"\w+")


def terms(title: str, text: str, categories: Iterable[str]) -> Iterator[str]:
    """The terms of an item: words and neighbouring pairs of words of title and text, and its categories."""
    for part in (title, text):
        words = _WORD.findall(part.lower())
        yield from words
        for first, second in pairwise(words):
            yield f"{first} {second}"
    for category in categories:
        yield f"\x1f{category}"


def content_hash(title: str, text: str, categories: Iterable[str]) -> int:
    """Unsigned 64-bit hash of the words that a content vector is made from."""
    digest: int = xxhash.xxh3_64_intdigest("\x1e".join((title, text, *categories)).encode())
    return digest


def term_counts(title: str, text: str, categories: Iterable[str]) -> tuple[Keys, npt.NDArray[np.float32]]:
    """An item's terms as keys uint64[t], rising, and how often each occurs, float32[t]."""
    counts = Counter(word_key(term) for term in terms(title, text, categories))
    keys = np.fromiter(counts.keys(), np.uint64, len(counts))
    order = np.argsort(keys)
    return keys[order], np.fromiter(counts.values(), np.float32, len(counts))[order]


@dataclass(frozen=True)
class TextEncoder:
    """Turns an item's words into a vector.

    Attributes:
        vocabulary: uint64[V], keys of the known terms, rising.
        idf: float32[V].
        projection: float32[V, d].
    """

    vocabulary: Keys
    idf: Vectors
    projection: Vectors

    @property
    def dimensions(self) -> int:
        """d, the length of a vector."""
        return int(self.projection.shape[1])

    def weigh(self, title: str, text: str, categories: Iterable[str]) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Places in the vocabulary int64[t] and tf-idf weights float32[t] of length 1 of an item's known terms."""
        keys, counts = term_counts(title, text, categories)
        places = np.searchsorted(self.vocabulary, keys)
        known = places < len(self.vocabulary)
        known[known] = self.vocabulary[places[known]] == keys[known]
        places = places[known]
        weights = (1 + np.log(counts[known])) * self.idf[places]
        length = np.sqrt(np.sum(weights**2))
        return places, (weights / length if length else weights).astype(np.float32)

    def encode(self, title: str, text: str, categories: Iterable[str]) -> Vectors:
        """The vector float32[d] of length 1 of an item's words; zeros where no term is known."""
        places, weights = self.weigh(title, text, categories)
        vector = np.sum(self.projection[places] * weights[:, None], axis=0)
        length = np.sqrt(np.sum(vector**2))
        unit: Vectors = np.asarray(vector / length if length > 0 else vector, np.float32)
        return unit
