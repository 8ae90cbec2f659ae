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
    proposals: Sequence[Proposal],
    quotas: Sequence[int],
    weights: Sequence[float],
    *,
    fusion_rank: int,
    limit: int,
    row_count: int,
) -> Merged:
    """The best ``limit`` of what S sources propose, by the sum of weight / (fusion_rank + rank); equal sums by row.

    The first ``quotas[s]`` rows of each source are kept before any other is; quotas add up to at most ``limit``.
    ``row_count`` is N, the rows of the catalogue.
    """
    # A scratch column over the catalogue is ten times faster than sorting, up to hundreds of thousands of rows.
    place = np.zeros(row_count, np.int64)
    for proposal in proposals:
        place[proposal.rows] = 1
    rows = np.flatnonzero(place)
    place[rows] = np.arange(len(rows))
    shape = (len(rows), len(proposals))
    ranks = np.zeros(shape, np.uint16)
    fused = np.zeros(len(rows))
    sure = np.zeros(len(rows), np.bool_)
    for column, proposal in enumerate(proposals):
        mine = place[proposal.rows]
        rank = np.arange(1, len(mine) + 1)
        ranks[mine, column] = rank
        fused[mine] += weights[column] / (fusion_rank + rank)
        sure[mine[: quotas[column]]] = True
    if len(rows) > limit:
        others = np.flatnonzero(~sure)
        best = np.argsort(-fused[others], kind="stable")[: limit - (len(rows) - len(others))]
        sure[others[best]] = True
        rows, ranks, fused = rows[sure], ranks[sure], fused[sure]
    kept = np.argsort(-fused, kind="stable")
    return Merged(rows[kept], ranks[kept])
