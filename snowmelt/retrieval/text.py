"""Text as sparse vectors without a download: tf-idf over the vocabulary of a catalogue."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import xxhash

from snowmelt.contracts.ids import Keys, word_keys

Vectors = npt.NDArray[np.float32]

PAIR_WEIGHT = 0.5
CATEGORY_WEIGHT = 0.3
TERMS_LIMIT = 64
"""An item keeps its heaviest terms, so many at most: a page of text costs no more than a title."""

_WORD = re.compile(r"\w+")


def content_hash(title: str, text: str, categories: Iterable[str]) -> int:
    """Unsigned 64-bit hash of the words that a content vector is made from."""
    digest: int = xxhash.xxh3_64_intdigest("\x1e".join((title, text, *categories)).encode())
    return digest


def terms(title: str, text: str, categories: Iterable[str]) -> tuple[Keys, Vectors]:
    """The terms of an item as keys uint64[t], rising, with weights float32[t].

    Words weigh 1 + log of how often they occur, neighbouring pairs less, categories least: they often repeat a word.
    """
    weights: dict[str, float] = {}
    counts: dict[str, int] = {}
    for part in (title, text):
        words = _WORD.findall(part.lower())
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        weights.update((f"{first} {second}", PAIR_WEIGHT) for first, second in pairwise(words))
    weights.update((word, 1 + float(np.log(count))) for word, count in counts.items())
    weights.update((f"\x1f{category}", CATEGORY_WEIGHT) for category in categories)
    keys = word_keys(weights)
    order = np.argsort(keys)
    return keys[order], np.fromiter(weights.values(), np.float32, len(weights))[order]


@dataclass(frozen=True)
class TextEncoder:
    """Turns an item's words into a sparse vector of length 1.

    Attributes:
        vocabulary: uint64[V], keys of the known terms, rising.
        idf: float32[V + 1]; the last is that of every unknown term.
    """

    vocabulary: Keys
    idf: Vectors

    def encode(self, title: str, text: str, categories: Iterable[str]) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Places in the vocabulary int64[t], rising, and values float32[t]; unknown terms only add to the length."""
        keys, weights = terms(title, text, categories)
        places = np.searchsorted(self.vocabulary, keys)
        known = places < len(self.vocabulary)
        known[known] = self.vocabulary[places[known]] == keys[known]
        values = weights * self.idf[np.where(known, places, len(self.vocabulary))]
        places, values, length = places[known], values[known], np.sqrt(np.sum(values**2))
        if len(places) > TERMS_LIMIT:
            heaviest = np.sort(np.lexsort((places, -values))[:TERMS_LIMIT])
            places, values = places[heaviest], values[heaviest]
        return places, (values / length).astype(np.float32) if length else values
