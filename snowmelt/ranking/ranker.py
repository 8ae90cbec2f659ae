"""The ranker: assembly, trees, and for the best candidates what each feature added."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.candidates import Candidates, StageTime
from snowmelt.contracts.user_state import UserState
from snowmelt.features.feature_list import FeatureList
from snowmelt.ranking.assemble import FeatureAssembler
from snowmelt.ranking.trees import Matrix, Trees


@dataclass(frozen=True)
class Explanation:
    """One candidate's score taken apart.

    Attributes:
        candidate: its place among the candidates.
        values: float32[F], the features as ranked.
        contributions: float64[F], what each added to the score; with ``base`` they sum to it.
    """

    candidate: int
    values: npt.NDArray[np.float32]
    contributions: npt.NDArray[np.float64]
    base: float


@dataclass(frozen=True)
class Ranked:
    """What the ranker says of n candidates.

    Attributes:
        scores: float32[n], finite, greater is better.
        matrix: float32[n, F], the features as ranked.
        explanations: of the best so many candidates, the best first.
    """

    scores: npt.NDArray[np.float32]
    matrix: Matrix
    explanations: Sequence[Explanation]
    stages: Sequence[StageTime]


class Ranker:
    """One release's ranker over live items; safe for use by many threads."""

    def __init__(self, trees: Trees, features: FeatureList, assembler: FeatureAssembler) -> None:
        """Refuses trees that read other columns than the assembler makes.

        Raises:
            SnowmeltError: FEATURES_MISMATCH.
        """
        assembler.features.require(features.hash)
        self._trees, self._assembler = trees, assembler

    @property
    def features(self) -> FeatureList:
        """The columns that the trees read, in order."""
        return self._assembler.features

    def refresh(self) -> None:
        """Takes up new content now, so that the next request need not."""
        self._assembler.refresh()

    def rank(self, user: UserState, candidates: Candidates, as_of_ms: int, explain: int = 0) -> Ranked:
        """Scores the candidates as of one instant, and explains the best ``explain`` of them.

        Raises:
            SnowmeltError: INTERNAL where a score is not finite.
        """
        started = time.perf_counter()
        matrix = self._assembler.assemble(user, candidates, as_of_ms)
        assembled = time.perf_counter()
        scores = self._trees.score(matrix)
        explanations = self._explain(matrix, scores, explain) if explain and len(scores) else []
        scored = time.perf_counter()
        stages = [
            StageTime("ranker.assemble", (assembled - started) * 1000),
            StageTime("ranker.score", (scored - assembled) * 1000),
        ]
        return Ranked(scores, matrix, explanations, stages)

    def _explain(self, matrix: Matrix, scores: npt.NDArray[np.float32], explain: int) -> list[Explanation]:
        best = np.argsort(-scores, kind="stable")[:explain]
        added = self._trees.contributions(matrix[best])
        return [
            Explanation(candidate, matrix[candidate], parts[:-1], float(parts[-1]))
            for candidate, parts in zip(best.tolist(), added, strict=True)
        ]
