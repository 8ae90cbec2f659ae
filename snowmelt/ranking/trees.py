"""Gradient-boosted trees: trained by LightGBM, walked by ``traversal`` where the model allows it, to the same bits."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.ranking.booster import lightgbm_module, open_booster
from snowmelt.ranking.forest import Forest, UnsupportedModelError, parse
from snowmelt.ranking.traversal import predict

if TYPE_CHECKING:
    import lightgbm

log = logging.getLogger(__name__)
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TreeParams:
    """How lambdarank is trained; the names are LightGBM's own. ``extra`` goes to LightGBM as it is."""

    rounds: int = 200
    num_leaves: int = 8
    learning_rate: float = 0.05
    min_data_in_leaf: int = 50
    lambda_l2: float = 5.0
    feature_fraction: float = 0.7
    truncation_level: int = 20
    num_threads: int = 1
    seed: int = 7
    extra: Mapping[str, object] | None = None

    def of_lightgbm(self) -> dict[str, object]:
        """The parameters of ``lightgbm.train``; the same data and the same parameters give the same trees."""
        return {
            "objective": "lambdarank",
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "lambda_l2": self.lambda_l2,
            "feature_fraction": self.feature_fraction,
            "lambdarank_truncation_level": self.truncation_level,
            "num_threads": self.num_threads,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
            **(self.extra or {}),
        }


class Trees:
    """A trained model. Scores are comparable within one request only: lambdarank learns an order, no probability."""

    def __init__(self, model: str) -> None:
        """``model`` is LightGBM's text form."""
        self._model = model
        self._forest: Forest | None = None
        try:
            self._forest = parse(model)
        except UnsupportedModelError as error:
            log.warning("scoring by LightGBM itself, which is slower: the model has %s", error)
        header = dict(line.split("=", 1) for line in model.partition("\nTree=")[0].splitlines() if "=" in line)
        self.names = tuple(header["feature_names"].split(" "))

    @classmethod
    def train(
        cls,
        matrix: Matrix,
        labels: npt.NDArray[np.integer[Any]],
        groups: npt.NDArray[np.integer[Any]],
        params: TreeParams,
        names: Sequence[str],
        *,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> "Trees":
        """Lambdarank over float32[n, F]; ``labels`` int[n] >= 0, ``groups`` the rows of each request in turn."""
        lightgbm = lightgbm_module()
        data = lightgbm.Dataset(matrix, labels, group=groups, weight=weights, feature_name=list(names))
        booster = lightgbm.train(params.of_lightgbm(), data, params.rounds)
        return cls(booster.model_to_string())

    @classmethod
    def load(cls, path: Path) -> "Trees":
        """Reads the text form; of a release only after its hashes were verified."""
        return cls(path.read_text(encoding="utf-8"))

    def save(self, path: Path) -> None:
        """Writes the text form."""
        path.write_text(self._model, encoding="utf-8")

    @property
    def quick(self) -> bool:
        """Whether the quick traversal walks the model; LightGBM itself does where not."""
        return self._forest is not None

    def raw(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """float64[n]: LightGBM's raw prediction of float32[n, F], bit for bit. NaN stands for what is missing."""
        self._check_width(matrix)
        return self.by_lightgbm(matrix) if self._forest is None else predict(self._forest, np.ascontiguousarray(matrix))

    def by_lightgbm(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """float64[n]: the same from LightGBM itself, on one thread; what the traversal is measured against."""
        self._check_width(matrix)
        return np.asarray(self._booster.predict(matrix, raw_score=True, num_threads=1), dtype=np.float64)

    def score(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """float32[n], greater is better.

        Raises:
            SnowmeltError: INTERNAL where a score is not finite.
        """
        scores = self.raw(matrix).astype(np.float32)
        if not np.isfinite(scores).all():
            raise SnowmeltError(Reason.INTERNAL, "the trees gave a score that is not finite")
        return scores

    def contributions(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """float64[n, F + 1]: what each feature added to the raw score, then the base; a row sums to the raw score."""
        self._check_width(matrix)
        return np.asarray(self._booster.predict(matrix, pred_contrib=True, num_threads=1), dtype=np.float64)

    def _check_width(self, matrix: Matrix) -> None:
        if matrix.dtype != np.float32 or matrix.ndim != 2 or matrix.shape[1] != len(self.names):
            raise ValueError(f"the trees read float32[n, {len(self.names)}], got {matrix.dtype}{list(matrix.shape)}")

    @cached_property
    def _booster(self) -> "lightgbm.Booster":
        return open_booster(self._model)
