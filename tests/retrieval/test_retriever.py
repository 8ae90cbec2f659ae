from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import word_keys
from snowmelt.features.rows import Rows
from snowmelt.retrieval import RetrievalConfig, RetrievalQuery, RetrievalTables, Retriever
from tests.retrieval import shop

ALL = (
    "vectors",
    "item_to_item",
    "popularity_7d",
    "popularity_28d",
    "popularity_category_7d",
    "popularity_category_28d",
    "new_items",
    "content_neighbours",
)


PER_CATEGORY = {"popularity_category_7d": "interactions_7d", "popularity_category_28d": "interactions_28d"}


def ids(candidates: Candidates, items: shop.PlainItems) -> list[str]:
    columns = items.columns()
    where = dict(zip(columns.keys.tolist(), columns.ids, strict=True))
    return [where[key] for key in candidates.keys.tolist()]


def by_source(candidates: Candidates, items: shop.PlainItems, source: str) -> list[str]:
    ranks = candidates.ranks[:, candidates.sources.index(source)]
    order = np.argsort(ranks)
    names = ids(candidates, items)
    return [names[place] for place in order if ranks[place]]


def test_every_source_has_its_say(tables: RetrievalTables, items: shop.PlainItems) -> None:
    query = RetrievalQuery(shop.user("i3", "i15", likes={"mug": 2.0}), 40, shop.NOW_MS)
    found, stages = Retriever(tables, items).retrieve(query)
    assert found.sources == ALL
    assert found.ranks.max(axis=0).min() >= 1
    assert found.scores.dtype == np.float32
    assert found.ranks.dtype == np.uint16
    assert [s.name for s in stages] == ["retrieval.filters", *(f"retrieval.source.{s}" for s in ALL), "retrieval.merge"]
    for column in range(len(ALL)):
        mine = found.ranks[:, column] > 0
        order = np.argsort(found.ranks[mine, column])
        assert found.ranks[mine, column][order].tolist() == list(range(1, mine.sum() + 1))
        assert np.all(np.diff(found.scores[mine, column][order]) <= 1e-6)


def test_a_user_of_mugs_gets_mugs(tables: RetrievalTables, items: shop.PlainItems) -> None:
    query = RetrievalQuery(shop.user("i11", "i12", "i13"), 20, shop.NOW_MS)
    found, _ = Retriever(tables, items).retrieve(query)
    mugs = {f"i{n}" for n in range(10, 20)}
    for source in ("vectors", "item_to_item", "content_neighbours"):
        assert set(by_source(found, items, source)[:7]) <= mugs - {"i11", "i12", "i13"}, source


def test_popularity_is_the_count(tables: RetrievalTables, items: shop.PlainItems, shopping: Rows) -> None:
    found, _ = Retriever(tables, items).retrieve(RetrievalQuery(shop.user(), 40, shop.NOW_MS))
    tile = shop.NOW_MS - shop.NOW_MS % 10_000
    counts = items.statistics(items.content.keys, tile)["interactions_7d"]
    order = np.lexsort((items.content.keys, -counts))
    expected = [items.content.ids[row] for row in order if counts[row] > 0]
    assert by_source(found, items, "popularity_7d") == expected


@pytest.mark.parametrize(("source", "count"), PER_CATEGORY.items())
def test_popularity_per_category_is_the_count_in_the_users_own(
    tables: RetrievalTables, items: shop.PlainItems, source: str, count: str
) -> None:
    found, _ = Retriever(tables, items).retrieve(RetrievalQuery(shop.user(likes={"mug": 2.0}), 40, shop.NOW_MS))
    counts = items.statistics(items.content.keys, shop.NOW_MS - shop.NOW_MS % 10_000)[count]
    order = np.lexsort((items.content.keys, -counts))
    mugs = [row for row in order if counts[row] > 0 and "mug" in items.content.categories[row]]
    assert mugs
    assert by_source(found, items, source) == [items.content.ids[row] for row in mugs]


def test_new_items_come_by_age(tables: RetrievalTables, items: shop.PlainItems) -> None:
    found, _ = Retriever(tables, items).retrieve(RetrievalQuery(shop.user(), 40, shop.NOW_MS))
    assert by_source(found, items, "new_items") == [f"i{n}" for n in range(40)]


def test_a_new_user_gets_popular_and_new_items(tables: RetrievalTables, items: shop.PlainItems) -> None:
    found, _ = Retriever(tables, items).retrieve(RetrievalQuery(shop.user(), 25, shop.NOW_MS))
    assert len(found) == 25
    for source in ("vectors", "item_to_item", *PER_CATEGORY, "content_neighbours"):
        assert np.all(np.isnan(found.scores[:, ALL.index(source)]))
        assert not found.ranks[:, ALL.index(source)].any()


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"exclude_keys": shop.keys("i14", "i20", "unknown")}, {"i14", "i20"}),
        ({"user": shop.user("i3", seen=["i3", "i4", "i21"])}, {"i3", "i4", "i21"}),
        ({"user": shop.user("i3", seen=["i3", "i4", "i21"]), "include_seen": True}, set()),
        ({"category_keys": word_keys(["mug", "card"])}, {f"i{n}" for n in [*range(10), *range(20, 30)]}),
        ({"category_keys": word_keys(["nothing"])}, {f"i{n}" for n in range(40)}),
        ({"as_of_ms": shop.NOW_MS - 110 * DAY_MS}, {f"i{n}" for n in range(10)}),
    ],
)
def test_filters(tables: RetrievalTables, items: shop.PlainItems, change: dict[str, object], gone: set[str]) -> None:
    query = replace(RetrievalQuery(shop.user("i35", seen=()), 40, shop.NOW_MS), **change)
    found, _ = Retriever(tables, items).retrieve(query)
    assert set(ids(found, items)) == {f"i{n}" for n in range(40)} - gone


def test_withdrawn_items_are_not_proposed(tables: RetrievalTables, items: shop.PlainItems) -> None:
    retriever = Retriever(tables, items)
    items.content = replace(items.content, withdrawn=items.content.ids == np.array("i12"))
    assert items.content.withdrawn.sum() == 1
    found, _ = retriever.retrieve(RetrievalQuery(shop.user("i11", "i13"), 40, shop.NOW_MS))
    assert "i12" not in ids(found, items)
    assert len(found) == 37


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    recent=st.lists(st.integers(0, 39), unique=True, max_size=12),
    seen=st.lists(st.integers(0, 39), unique=True, max_size=30),
    without=st.lists(st.integers(0, 39), unique=True, max_size=10),
    kinds=st.sets(st.sampled_from(shop.KINDS)),
    limit=st.integers(1, 50),
)
def test_quotas_fill_whatever_is_filtered(
    tables: RetrievalTables, items: shop.PlainItems,
    recent: list[int], seen: list[int], without: list[int], kinds: set[str], limit: int,
) -> None:  # fmt: skip
    state = shop.user(*(f"i{n}" for n in recent), seen=[f"i{n}" for n in seen])
    query = RetrievalQuery(
        state, limit, shop.NOW_MS, shop.keys(*(f"i{n}" for n in without)), word_keys(sorted(kinds)),
    )  # fmt: skip
    found, _ = Retriever(tables, items).retrieve(query)
    allowed = [
        n for n in range(40) if n not in seen and n not in without and (not kinds or shop.KINDS[n // 10] in kinds)
    ]
    assert len(found) == min(limit, len(allowed))
    assert {int(name[1:]) for name in ids(found, items)} <= set(allowed)


def test_the_order_of_the_catalogue_does_not_matter(
    tables: RetrievalTables, items: shop.PlainItems, shopping: Rows
) -> None:
    old = shop.catalogue()
    order = np.random.default_rng(5).permutation(len(old))
    listed = {n: [getattr(old, n)[p] for p in order] for n in ("ids", "titles", "texts", "categories")}
    arrays = {n: getattr(old, n)[order] for n in ("keys", "prices", "available_from_ms", "withdrawn")}
    other = shop.PlainItems(replace(old, **listed, **arrays), shopping)
    for state in (shop.user(), shop.user("i3", "i15", likes={"mug": 2.0})):
        query = RetrievalQuery(state, 25, shop.NOW_MS)
        first, _ = Retriever(tables, items).retrieve(query)
        second, _ = Retriever(tables, other).retrieve(query)
        assert first.keys.tolist() == second.keys.tolist()
        np.testing.assert_array_equal(first.scores, second.scores)
        np.testing.assert_array_equal(first.ranks, second.ranks)


def test_the_catalogue_is_counted_once_a_tile(tables: RetrievalTables, items: shop.PlainItems) -> None:
    retriever = Retriever(tables, items)
    tile = shop.NOW_MS - shop.NOW_MS % 10_000
    for step in range(5):
        retriever.retrieve(RetrievalQuery(shop.user(), 5, tile + step))
    assert items.reads == 1
    retriever.warm(tile)
    retriever.retrieve(RetrievalQuery(shop.user(), 5, tile + 10_000))
    assert items.reads == 2


def test_a_count_that_is_not_there_is_named(tables: RetrievalTables, items: shop.PlainItems) -> None:
    retriever = Retriever(tables, items, RetrievalConfig(count_7d="smiles_7d"))
    with pytest.raises(SnowmeltError, match="smiles_7d") as caught:
        retriever.retrieve(RetrievalQuery(shop.user(), 5, shop.NOW_MS))
    assert caught.value.reason is Reason.FEATURES_MISMATCH
