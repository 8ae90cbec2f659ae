"""Vectors from content: an encoder fitted on the catalogue's words, and the map from there to item factors."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from snowmelt.contracts.items import ItemColumns
from snowmelt.retrieval import TextEncoder
from snowmelt.retrieval.text import Vectors, term_counts


@dataclass(frozen=True)
class ContentConfig:
    """How content becomes vectors.

    Attributes:
        dimensions: c, of a content vector.
        frequency_min: a term must occur in so many items.
        terms_max: the vocabulary holds the most frequent terms, at most so many.
        regularisation: of the map from content to factors.
        evidence_half: with so many interactions an item's vector is half interactions, half content.
        seed: of the projection.
    """

    dimensions: int = 128
    frequency_min: int = 2
    terms_max: int = 50_000
    regularisation: float = 1.0
    evidence_half: float = 5.0
    seed: int = 0


def fit_encoder(items: ItemColumns, config: ContentConfig) -> TextEncoder:
    """An encoder of the catalogue's words; of no terms where there are none."""
    counted = [term_counts(*content) for content in zip(items.titles, items.texts, items.categories, strict=True)]
    if not counted:
        return _without_words(config)
    keys = np.concatenate([keys for keys, _ in counted])
    vocabulary, frequency = np.unique(keys, return_counts=True)
    frequent = np.flatnonzero(frequency >= config.frequency_min)
    if len(frequent) > config.terms_max:
        frequent = np.sort(frequent[np.lexsort((frequent, -frequency[frequent]))[: config.terms_max]])
    if not len(frequent):
        return _without_words(config)
    idf = (np.log((1 + len(items)) / (1 + frequency[frequent])) + 1).astype(np.float32)
    blank = TextEncoder(vocabulary[frequent], idf, np.zeros((len(frequent), config.dimensions), np.float32))
    return TextEncoder(blank.vocabulary, idf, _projection(_matrix(blank, items), config))


def content_vectors(encoder: TextEncoder, items: ItemColumns) -> Vectors:
    """float32[N, c]: each item's content vector."""
    parts = zip(items.titles, items.texts, items.categories, strict=True)
    vectors = [encoder.encode(*content) for content in parts]
    return np.array(vectors, np.float32).reshape(len(items), encoder.dimensions)


def content_map(contents: Vectors, factors: Vectors, counts: np.ndarray, config: ContentConfig) -> Vectors:
    """float32[c, d]: ridge regression from content to factors, each item weighed by what its factors rest on."""
    weights = evidence(counts, config)
    wide = contents.astype(np.float64)
    system = (wide.T * weights) @ wide + config.regularisation * np.eye(wide.shape[1])
    return np.linalg.solve(system, (wide.T * weights) @ factors).astype(np.float32)


def evidence(counts: np.ndarray, config: ContentConfig) -> Vectors:
    """float32[N]: the share of interactions in an item's vector, by how many it has."""
    return (counts / (counts + config.evidence_half)).astype(np.float32)


def _without_words(config: ContentConfig) -> TextEncoder:
    return TextEncoder(np.empty(0, np.uint64), np.empty(0, np.float32), np.zeros((0, config.dimensions), np.float32))


def _matrix(encoder: TextEncoder, items: ItemColumns) -> sp.csr_matrix:
    """float32[N, V]: tf-idf, each row of length 1."""
    parts = zip(items.titles, items.texts, items.categories, strict=True)
    weighed = [encoder.weigh(*content) for content in parts]
    starts = np.concatenate([[0], np.cumsum([len(places) for places, _ in weighed])])
    places = np.concatenate([places for places, _ in weighed])
    weights = np.concatenate([weights for _, weights in weighed])
    return sp.csr_matrix((weights, places, starts), shape=(len(items), len(encoder.vocabulary)))


def _projection(matrix: sp.csr_matrix, config: ContentConfig, oversampling: int = 16, sweeps: int = 4) -> Vectors:
    """float32[V, c]: the first right singular vectors, by randomised subspace iteration (Halko et al. 2011).

    Columns of zeros stand where the matrix has fewer.
    """
    rank = min(config.dimensions, *matrix.shape)
    random = np.random.default_rng(config.seed)
    basis = random.normal(size=(matrix.shape[1], min(rank + oversampling, *matrix.shape)))
    for _ in range(sweeps):
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    _, _, right = np.linalg.svd(matrix @ basis, full_matrices=False)
    projection = np.zeros((matrix.shape[1], config.dimensions), np.float32)
    projection[:, :rank] = (basis @ right.T)[:, :rank]
    return projection
