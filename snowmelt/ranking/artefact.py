"""The ranker's half of a release: the trees, the names of the columns they read, and golden rows with their scores."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.feature_list import FeatureList
from snowmelt.ranking.trees import Matrix, Trees

MODEL, NAMES = "model.txt", "features.json"
GOLDEN_ROWS, GOLDEN_SCORES = "golden_rows.npy", "golden_scores.npy"
GOLDEN_MAX = 256


@dataclass(frozen=True)
class RankerArtefact:
    """Trees with the list of the columns that they read.

    Attributes:
        golden: float32[g, F], rows like those that the trees were trained on; what they score is part of the release.
    """

    trees: Trees
    features: FeatureList
    golden: Matrix

    def save(self, folder: Path) -> None:
        """Writes the files into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        golden = np.ascontiguousarray(self.golden[:GOLDEN_MAX])
        self.trees.save(folder / MODEL)
        document = {"names": list(self.features.names), "hash": self.features.hash}
        (folder / NAMES).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        np.save(folder / GOLDEN_ROWS, golden, allow_pickle=False)
        np.save(folder / GOLDEN_SCORES, self.trees.raw(golden), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "RankerArtefact":
        """Opens what ``save`` wrote; the files must have been verified before.

        Raises:
            SnowmeltError: RELEASE_INVALID where a file is missing, damaged, or does not fit the others.
        """
        try:
            document = json.loads((folder / NAMES).read_text(encoding="utf-8"))
            features = FeatureList(tuple(document["names"]))
            trees = Trees.load(folder / MODEL)
            golden = np.load(folder / GOLDEN_ROWS, allow_pickle=False)
            fits = features.hash == document["hash"] and golden.dtype == np.float32
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise SnowmeltError(Reason.RELEASE_INVALID, "a file of the ranker is missing or damaged") from error
        if not fits or trees.names != features.names or golden.shape[1:] != (len(trees.names),):
            raise SnowmeltError(Reason.RELEASE_INVALID, "the ranker's trees and its feature list do not fit")
        return cls(trees, features, golden)

    def check_golden(self, folder: Path) -> None:
        """Scores the golden rows, by the traversal and by LightGBM's contributions, against what was published.

        Raises:
            SnowmeltError: RELEASE_INVALID where a bit of a score differs.
        """
        scores = self.trees.raw(self.golden)
        if scores.tobytes() != np.load(folder / GOLDEN_SCORES, allow_pickle=False).tobytes():
            raise SnowmeltError(Reason.RELEASE_INVALID, "the trees do not score as they did when they were published")
        if not np.allclose(self.trees.contributions(self.golden).sum(axis=1), scores, rtol=1e-6, atol=1e-6):
            raise SnowmeltError(Reason.RELEASE_INVALID, "the trees' contributions do not sum to their scores")
