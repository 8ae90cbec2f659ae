"""Walking all trees for all rows: bit for bit what LightGBM's own raw prediction gives, several times as quick.

Eight rows go down a tree side by side: none waits for another's loads, so that the processor overlaps them.
"""

import numba
import numpy as np
import numpy.typing as npt

from snowmelt.ranking.forest import LARGEST, Forest

TINY = np.float32(1e-35)
"""LightGBM's kZeroThreshold: what is at most this far from zero is zero."""
INFINITY = np.float32(np.inf)
ZERO = np.float32(0.0)


def predict(forest: Forest, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """float64[n]: the sum of each row's leaves, added in the order of the trees; ``matrix`` is float32[n, F]."""
    scores = np.zeros(len(matrix), np.float64)
    _walk(forest.roots, forest.nodes, forest.values, matrix, scores)
    return scores


@numba.njit(nogil=True, cache=True)
def _columns(matrix):  # type: ignore[no-untyped-def]
    """float32[n * 2F]: each row with what is missing as minus infinity, then as infinity."""
    n, width = matrix.shape
    flat = np.empty(n * 2 * width, np.float32)
    for row in range(n):
        for column in range(width):
            x = matrix[row, column]
            place = row * 2 * width + column
            if np.isnan(x):
                flat[place], flat[place + width] = -INFINITY, INFINITY
            else:
                kept = ZERO if abs(x) <= TINY else min(x, LARGEST)
                flat[place], flat[place + width] = kept, kept
    return flat


@numba.njit(nogil=True, cache=True, inline="always")
def _step(nodes, flat, row, at):  # type: ignore[no-untyped-def]
    node = nodes[at]
    return node.left + np.int32(flat[row + node.column] > node.threshold)


@numba.njit(nogil=True, cache=True)
def _walk(roots, nodes, values, matrix, scores):  # type: ignore[no-untyped-def]
    n, w = len(matrix), 2 * matrix.shape[1]
    flat = _columns(matrix)
    for root in roots:
        for row in range(0, n - 7, 8):
            o = row * w
            a = b = c = d = e = f = g = h = root
            moved = True
            while moved:
                a2, b2 = _step(nodes, flat, o, a), _step(nodes, flat, o + w, b)
                c2, d2 = _step(nodes, flat, o + 2 * w, c), _step(nodes, flat, o + 3 * w, d)
                e2, f2 = _step(nodes, flat, o + 4 * w, e), _step(nodes, flat, o + 5 * w, f)
                g2, h2 = _step(nodes, flat, o + 6 * w, g), _step(nodes, flat, o + 7 * w, h)
                moved = ((a ^ a2) | (b ^ b2) | (c ^ c2) | (d ^ d2) | (e ^ e2) | (f ^ f2) | (g ^ g2) | (h ^ h2)) != 0
                a, b, c, d, e, f, g, h = a2, b2, c2, d2, e2, f2, g2, h2
            for place, leaf in enumerate((a, b, c, d, e, f, g, h)):
                scores[row + place] += values[leaf]
        for row in range(n - n % 8, n):
            at, nxt = root, _step(nodes, flat, row * w, root)
            while nxt != at:
                at, nxt = nxt, _step(nodes, flat, row * w, nxt)
            scores[row] += values[at]
