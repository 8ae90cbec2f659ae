"""How sure a mean, or a difference of two means, is: the percentile bootstrap over users or queries, seeded."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROUNDS = 2_000
CHUNK = 200


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """The three numbers by name, to six places."""
        return {"mean": round(self.mean, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


def interval(
    values: npt.NDArray[np.float64], groups: npt.NDArray[np.int64] | None = None, *, rounds: int = ROUNDS, seed: int = 0
) -> Interval:
    """The mean of float64[q] and its interval; draws whole ``groups`` (int64[q], such as users), else single values.

    Raises:
        ValueError: there are no values.
    """
    if not len(values):
        raise ValueError("no values to draw from")
    if groups is None:
        sums, counts = values.astype(np.float64), np.ones(len(values))
    else:
        _, place = np.unique(groups, return_inverse=True)
        sums, counts = np.bincount(place, values).astype(np.float64), np.bincount(place).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, rounds, CHUNK):
        drawn = rng.integers(len(sums), size=(min(CHUNK, rounds - start), len(sums)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high))


def paired(
    ours: npt.NDArray[np.float64],
    theirs: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64] | None = None,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """The mean of ``ours - theirs`` over the same queries, and its interval."""
    return interval(ours - theirs, groups, rounds=rounds, seed=seed)
