"""Merging: several ranked lists become one, each source sure of its quota, the rest in fused order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.items import Rows

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Proposal:
    """What one source proposes, best first.

    Attributes:
        rows: int64[n], rows of the catalogue, no repeats.
        scores: float32[n], not rising.
    """

    rows: Rows
    scores: Scores

    @classmethod
    def nothing(cls) -> "Proposal":
        """No proposal."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float32))


@dataclass(frozen=True)
class Merged:
    """n rows int64[n] of S sources, best first, with ranks uint16[n, S] from 1; 0 where the source did not propose."""

    rows: Rows
    ranks: npt.NDArray[np.uint16]


def merge(
    proposals: Sequence[Proposal], quotas: Sequence[int], weights: Sequence[float], fusion_rank: int, limit: int
) -> Merged:
    """The best ``limit`` rows of S proposals by the sum of weight / (fusion_rank + rank); equal sums by row.

    The first ``quotas[s]`` rows of each source are kept before any other is; quotas add up to at most ``limit``.
    """
    rows, place = np.unique(np.concatenate([p.rows for p in proposals]), return_inverse=True)
    shape = (len(rows), len(proposals))
    ranks = np.zeros(shape, np.uint16)
    fused = np.zeros(len(rows))
    sure = np.zeros(len(rows), np.bool_)
    start = 0
    for column, proposal in enumerate(proposals):
        mine = place[start : start + len(proposal.rows)]
        start += len(mine)
        rank = np.arange(1, len(mine) + 1)
        ranks[mine, column] = rank
        fused[mine] += weights[column] / (fusion_rank + rank)
        sure[mine[: quotas[column]]] = True
    kept = np.lexsort((rows, -fused, ~sure))[:limit]
    kept = kept[np.lexsort((kept, -fused[kept]))]
    return Merged(rows[kept], ranks[kept])
