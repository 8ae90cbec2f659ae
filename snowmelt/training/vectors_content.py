"""Content vectors of a catalogue, and the map from there to item factors."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from snowmelt.contracts.items import ItemColumns
from snowmelt.retrieval import SparseRows, TextEncoder
from snowmelt.retrieval.text import Vectors, terms


@dataclass(frozen=True)
class ContentConfig:
    """How content becomes vectors.

    Attributes:
        terms_max: the vocabulary holds the most frequent terms, at most so many.
        regularisation: of the map from content to factors.
        evidence_half: with so many interactions an item's vector is half interactions, half content.
        iterations: of the conjugate gradients that solve for the map.
    """

    terms_max: int = 100_000
    regularisation: float = 1.0
    evidence_half: float = 5.0
    iterations: int = 30


def fit_encoder(items: ItemColumns, config: ContentConfig) -> TextEncoder:
    """An encoder of the catalogue's words."""
    parts = zip(items.titles, items.texts, items.categories, strict=True)
    found = np.concatenate([terms(*content)[0] for content in parts] or [np.empty(0, np.uint64)])
    vocabulary, frequency = np.unique(found, return_counts=True)
    if len(vocabulary) > config.terms_max:
        kept = np.sort(np.lexsort((vocabulary, -frequency))[: config.terms_max])
        vocabulary, frequency = vocabulary[kept], frequency[kept]
    idf = np.log((1 + len(items)) / (1 + np.append(frequency, 0))) + 1
    return TextEncoder(vocabulary, idf.astype(np.float32))


def content_vectors(encoder: TextEncoder, items: ItemColumns) -> SparseRows:
    """Each item's content vector over the encoder's terms."""
    parts = zip(items.titles, items.texts, items.categories, strict=True)
    return SparseRows.of([encoder.encode(*content) for content in parts])


def evidence(counts: npt.NDArray[np.int64], config: ContentConfig) -> Vectors:
    """float32[T]: the share of interactions in an item's vector, by how many it has."""
    return (counts / (counts + config.evidence_half)).astype(np.float32)


def content_map(contents: SparseRows, width: int, factors: Vectors, weights: Vectors, config: ContentConfig) -> Vectors:
    """float32[V, d]: ridge regression from content to the factors float32[T, d] of items that weigh float32[T].

    Conjugate gradients, each dimension for itself: the system is too large to be written out.
    """
    matrix = sp.csr_matrix((contents.weights, contents.columns, contents.starts), shape=(len(contents), width))
    weighed = sp.diags(weights.astype(np.float64)) @ matrix.astype(np.float64)
    solution = np.zeros((width, factors.shape[1]))
    residual = weighed.T @ factors
    direction = residual.copy()
    squared = np.sum(residual**2, axis=0)
    for _ in range(config.iterations):
        image = weighed.T @ (matrix @ direction) + config.regularisation * direction
        step = squared / np.maximum(np.sum(direction * image, axis=0), np.finfo(float).tiny)
        solution += step * direction
        residual -= step * image
        before, squared = squared, np.sum(residual**2, axis=0)
        direction = residual + squared / np.maximum(before, np.finfo(float).tiny) * direction
    return solution.astype(np.float32)
