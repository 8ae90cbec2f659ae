"""The ranker's matrix: names, values worked out by hand, new features without code, and no dependence on company."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import word_keys
from snowmelt.contracts.user_state import UserState
from snowmelt.features.defaults import default_views
from snowmelt.ranking.assemble import FeatureAssembler
from snowmelt.ranking.categories import CategoryRows
from snowmelt.ranking.ranker import Ranker
from snowmelt.ranking.schema import RankingSchema
from snowmelt.ranking.trees import TreeParams, Trees
from snowmelt.releases.similarity import ContentSimilarity
from snowmelt.retrieval import Retriever
from tests.ranking.house import CATEGORIES, NOW, SOURCES, Items, candidates, user
from tests.ranking.tables import small_tables

SCHEMA = RankingSchema.of(default_views(), SOURCES)


def house(schema: RankingSchema = SCHEMA) -> tuple[FeatureAssembler, Items]:
    items = Items({name: np.arange(5) + place for place, name in enumerate(schema.statistics)})
    retriever = Retriever(small_tables(items.columns()), items)
    return FeatureAssembler(schema, items, ContentSimilarity(retriever)), items


def column(assembler: FeatureAssembler, matrix: np.ndarray, name: str) -> np.ndarray:
    return matrix[:, assembler.features.names.index(name)]


def test_the_columns_worked_out_by_hand() -> None:
    assembler, _ = house()
    matrix = assembler.assemble(user(), candidates(), NOW)
    nan = np.nan
    place = SCHEMA.statistics.index("purchases_7d")
    expected = {
        "candidate.place": [1, 2, 3, 4],
        "candidate.sources": [1, 1, 2, 1],
        "source.vectors.score": [1, nan, 0.5, -0.25],
        "source.vectors.rank": [1, nan, 2, 3],
        "source.popularity_7d.score": [nan, 1, 1 / 3, nan],
        "source.popularity_7d.rank": [nan, 1, 2, nan],
        "item.purchases_7d": [place, place + 3, place + 4, 0],
        "item.price": [10, 0, 5, nan],
        "item.age_days": [100, 5, 1, nan],
        "user.count.purchase": [1.5] * 4,
        "user.count.view": [0.5] * 4,
        "user.count.click": [0] * 4,
        "user.recent_items": [2] * 4,
        "user.days_since_last": [2] * 4,
        "user.price_level": [10] * 4,
        "cross.category_affinity": [0.75, 0.25, nan, nan],
        "cross.category_affinity_max": [0.75, 0.25, nan, nan],
        "cross.log_price_ratio": [0, nan, np.log(0.5), nan],
    }
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert matrix.shape == (4, len(assembler.features))
    for name, values in expected.items():
        np.testing.assert_allclose(column(assembler, matrix, name), np.array(values), rtol=1e-6, err_msg=name)
    most = column(assembler, matrix, "cross.similarity_max")
    mean = column(assembler, matrix, "cross.similarity_mean")
    assert most[0] > mean[0] > 0, "the train is like the boat and not like the vase"
    assert most[1] < most[0]
    assert np.isnan([most[3], mean[3]]).all()
    assert column(assembler, matrix, "cross.days_since_most_similar")[0] == 2


def test_a_new_user_has_no_history_and_no_crosses() -> None:
    assembler, _ = house()
    matrix = assembler.assemble(UserState(), candidates(), NOW)
    crosses = [name for name in assembler.features if name.startswith("cross.")]
    assert all(np.isnan(column(assembler, matrix, name)).all() for name in crosses)
    assert np.isnan(column(assembler, matrix, "user.days_since_last")).all()
    assert (column(assembler, matrix, "user.recent_items") == 0).all()


def test_no_candidates_give_no_rows() -> None:
    assembler, _ = house()
    assert assembler.assemble(user(), Candidates.empty(SOURCES), NOW).shape == (0, len(assembler.features))


def test_a_source_that_retrieval_does_not_run_is_missing_everywhere() -> None:
    assembler, _ = house(replace(SCHEMA, sources=("elsewhere", *SOURCES)))
    matrix = assembler.assemble(user(), candidates(), NOW)
    assert np.isnan(column(assembler, matrix, "source.elsewhere.rank")).all()
    np.testing.assert_allclose(column(assembler, matrix, "source.vectors.rank"), [1, np.nan, 2, 3])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True))
def test_a_row_does_not_depend_on_which_others_are_there(kept: list[int]) -> None:
    whole = candidates()
    few = Candidates(whole.keys[kept], SOURCES, whole.scores[kept], whole.ranks[kept])
    relative = ("candidate.place", "source.vectors.score", "source.popularity_7d.score")
    others = [place for place, name in enumerate(ASSEMBLER.features) if name not in relative]
    together = ASSEMBLER.assemble(user(), whole, NOW)[kept][:, others]
    assert ASSEMBLER.assemble(user(), few, NOW)[:, others].tobytes() == together.tobytes()


ASSEMBLER, _ITEMS = house()


def test_new_content_reaches_the_matrix() -> None:
    assembler, items = house()
    before = column(assembler, assembler.assemble(user(), candidates(), NOW), "cross.similarity_max")[1]
    items.rename(3, "red wooden boat")
    after = column(assembler, assembler.assemble(user(), candidates(), NOW), "cross.similarity_max")[1]
    assert before < 0.5 < after


def test_a_new_item_feature_gets_a_column_without_code_and_refuses_the_old_trees() -> None:
    views = default_views()
    stats = views.views["item_stats"]
    more = replace(stats, features=(*stats.features, replace(stats.features[0], name="clicks_2d")))
    schema = RankingSchema.of(replace(views, views={**views.views, "item_stats": more}), SOURCES)
    assert set(schema.features) - set(SCHEMA.features) == {"item.clicks_2d"}
    assembler, items = house(schema)
    items.counts["clicks_2d"] = np.arange(5) + 70
    matrix = assembler.assemble(user(), candidates(), NOW)
    assert column(assembler, matrix, "item.clicks_2d").tolist() == [70, 73, 74, 0]
    with pytest.raises(SnowmeltError) as error:
        Ranker(trees_for(ASSEMBLER), ASSEMBLER.features, assembler)
    assert error.value.reason is Reason.FEATURES_MISMATCH


def trees_for(assembler: FeatureAssembler) -> Trees:
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(400, len(assembler.features))).astype(np.float32)
    labels = (matrix[:, 0] + rng.normal(size=400) > 1).astype(np.int32)
    params = TreeParams(rounds=5, min_data_in_leaf=5)
    return Trees.train(matrix, labels, np.full(8, 50), params, assembler.features.names)


def test_the_ranker_scores_and_explains_the_best() -> None:
    ranker = Ranker(trees_for(ASSEMBLER), ASSEMBLER.features, ASSEMBLER)
    ranked = ranker.rank(user(), candidates(), NOW, explain=2)
    assert ranked.scores.shape == (4,)
    assert [stage.name for stage in ranked.stages] == ["ranker.assemble", "ranker.score"]
    assert [one.candidate for one in ranked.explanations] == np.argsort(-ranked.scores, kind="stable")[:2].tolist()
    for one in ranked.explanations:
        assert one.values.tobytes() == ranked.matrix[one.candidate].tobytes()
        assert one.contributions.sum() + one.base == pytest.approx(ranked.scores[one.candidate], abs=1e-6)
    assert ranker.rank(user(), Candidates.empty(SOURCES), NOW, explain=5).explanations == []


names = st.sampled_from(["toy", "home", "bath", "light", "none"])


@given(
    st.lists(st.integers(-1, 4), max_size=8),
    st.dictionaries(names, st.floats(0.01, 100), max_size=4),
)
def test_affinity_equals_its_definition(rows: list[int], weights: dict[str, float]) -> None:
    found = CategoryRows.of(Items({}).columns()).affinity(
        np.array(rows, np.int64), word_keys(weights), np.array(list(weights.values()))
    )
    whole = sum(weights.values())
    for place, row in enumerate(rows):
        shares = [weights.get(name, 0.0) / whole for name in CATEGORIES[row]] if row >= 0 and weights else []
        for got, want in zip(found, (sum(shares), max(shares, default=0)), strict=True):
            if shares:
                assert got[place] == pytest.approx(want, rel=1e-5)
            else:
                assert np.isnan(got[place])
