"""The quick traversal against LightGBM itself, bit for bit, and the trees as an artefact."""

import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.ranking.forest import UnsupportedModelError, parse
from snowmelt.ranking.trees import TreeParams, Trees

FEATURES = 6
NAMES = tuple(f"feature_{place}" for place in range(FEATURES))


def training_set(seed: int = 0, missing: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float32[2000, 6] with what is missing, with zeros, with ties and with a column that only says missing or not."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(2_000, FEATURES)).astype(np.float32)
    matrix[:, 1] = rng.integers(-2, 3, size=2_000)
    matrix[:, 2] = 1.0
    gaps = rng.random(matrix.shape) < missing
    gaps[:, 4:] = False
    signal = np.where(gaps[:, 2], 2.0, matrix[:, 2]) + matrix[:, 0] + np.where(gaps[:, 1], -1.0, 0.0) * matrix[:, 4]
    matrix[gaps] = np.nan
    labels = (signal + rng.normal(size=2_000) > 1.5).astype(np.int32)
    return matrix, labels, np.full(40, 50)


@pytest.fixture(scope="module")
def trees() -> Trees:
    return Trees.train(*training_set(), TreeParams(rounds=40, num_leaves=31, min_data_in_leaf=5), NAMES)


def thresholds(trees: Trees) -> np.ndarray:
    """The model's own thresholds and their nearest float32 on both sides: where a rounding slip would show."""
    words = [line.split("=")[1].split() for line in trees._model.splitlines() if line.startswith("threshold=")]
    near = np.array([float(word) for line in words for word in line]).astype(np.float32)
    return np.concatenate([near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))])


SPECIAL = np.array(
    [np.nan, 0.0, -0.0, 1e-35, -1e-35, 1e-36, 1.1e-35, 1e-45, np.inf, -np.inf, 3.4e38, -3.4e38, 1.0], np.float32
)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 500])
def test_traversal_equals_lightgbm_to_the_bit(trees: Trees, rows: int) -> None:
    rng = np.random.default_rng(rows)
    matrix = rng.choice(np.concatenate([SPECIAL, thresholds(trees)]), size=(rows, FEATURES))
    assert trees.quick
    if rows:
        assert trees.raw(matrix).tobytes() == trees.by_lightgbm(matrix).tobytes()
    else:
        assert trees.raw(matrix).shape == (0,)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(matrix=arrays.arrays(np.float32, st.tuples(st.integers(1, 20), st.just(FEATURES)), elements=st.floats(width=32)))
def test_traversal_equals_lightgbm_on_any_float(trees: Trees, matrix: np.ndarray) -> None:
    assert trees.raw(matrix).tobytes() == trees.by_lightgbm(matrix).tobytes()


@pytest.mark.parametrize("extra", [{"use_missing": False}, {"max_bin": 15}, {"num_leaves": 2}, {"boosting": "dart"}])
def test_traversal_equals_lightgbm_whatever_was_trained(extra: dict[str, object]) -> None:
    trees = Trees.train(*training_set(1), TreeParams(rounds=10, min_data_in_leaf=5, extra=extra), NAMES)
    matrix = np.random.default_rng(3).choice(np.concatenate([SPECIAL, thresholds(trees)]), size=(300, FEATURES))
    assert trees.quick
    assert trees.raw(matrix).tobytes() == trees.by_lightgbm(matrix).tobytes()


def test_a_tree_of_one_leaf() -> None:
    matrix, labels, groups = training_set()
    trees = Trees.train(matrix, np.zeros_like(labels), groups, TreeParams(rounds=2), NAMES)
    assert trees.quick
    assert trees.raw(matrix).tobytes() == trees.by_lightgbm(matrix).tobytes()


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ({"zero_as_missing": True}, "zero as missing"),
        ({"linear_tree": True, "objective": "regression"}, "linear leaves"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averaged output"),
        ({"categorical_feature": [1]}, "categorical splits"),
    ],
)
def test_what_the_traversal_does_not_walk_falls_back_and_says_so(
    extra: dict[str, object], what: str, caplog: pytest.LogCaptureFixture
) -> None:
    matrix, labels, groups = training_set(missing=0.0)
    matrix[:, 1] -= matrix[:, 1].min()
    labels = (matrix[:, 1] % 2 == 0).astype(np.int32) | labels
    categorical = extra.pop("categorical_feature", "auto")
    data = lightgbm.Dataset(matrix, labels, group=groups, feature_name=list(NAMES), categorical_feature=categorical)
    params = TreeParams(min_data_in_leaf=5, extra=extra).of_lightgbm()
    trees = Trees(lightgbm.train(params, data, 5).model_to_string())
    with pytest.raises(UnsupportedModelError, match=what):
        parse(trees._model)
    assert not trees.quick
    assert what in caplog.text
    assert trees.raw(matrix).tobytes() == trees.by_lightgbm(matrix).tobytes()


def test_training_is_deterministic_and_survives_the_disk(trees: Trees, tmp_path: Path) -> None:
    again = Trees.train(*training_set(), TreeParams(rounds=40, num_leaves=31, min_data_in_leaf=5), NAMES)
    again.save(tmp_path / "model.txt")
    loaded = Trees.load(tmp_path / "model.txt")
    matrix = training_set(9)[0]
    assert again._model == trees._model
    assert loaded.names == NAMES
    assert loaded.raw(matrix).tobytes() == trees.raw(matrix).tobytes()


def test_contributions_sum_to_the_score(trees: Trees) -> None:
    matrix = training_set(4)[0][:50]
    added = trees.contributions(matrix)
    assert added.shape == (50, FEATURES + 1)
    np.testing.assert_allclose(added.sum(axis=1), trees.raw(matrix), rtol=1e-9, atol=1e-9)


def test_a_score_that_is_not_finite_is_refused(trees: Trees) -> None:
    lines = trees._model.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("leaf_value="))
    lines[place] = "leaf_value=" + " ".join("nan" for _ in lines[place].split())
    with pytest.raises(SnowmeltError) as refused:
        Trees("\n".join(lines)).score(training_set()[0])
    assert refused.value.reason is Reason.INTERNAL


@pytest.mark.parametrize("wrong", [np.zeros((3, 5), np.float32), np.zeros((3, 6), np.float64), np.zeros(6, np.float32)])
def test_a_matrix_of_another_shape_is_refused(trees: Trees, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="float32"):
        trees.raw(wrong)


def test_scoring_imports_no_lightgbm_and_explaining_no_pandas(trees: Trees, tmp_path: Path) -> None:
    trees.save(tmp_path / "model.txt")
    np.save(tmp_path / "rows.npy", training_set()[0][:5])
    code = (
        "import sys; from pathlib import Path; import numpy as np; from snowmelt.ranking.trees import Trees\n"
        "folder = Path(sys.argv[1]); trees, rows = Trees.load(folder / 'model.txt'), np.load(folder / 'rows.npy')\n"
        "trees.score(rows); assert 'lightgbm' not in sys.modules\n"
        "trees.contributions(rows); assert 'lightgbm' in sys.modules and 'pandas' not in sys.modules\n"
        "import pandas"
    )
    subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path)], check=True)
