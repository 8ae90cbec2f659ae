import numpy as np
import pytest

from snowmelt.contracts.clock import DAY_MS
from snowmelt.features.rows import Rows
from snowmelt.retrieval import RetrievalTables
from snowmelt.retrieval.sources.vectors import fold_in
from snowmelt.training.neighbours import NeighboursConfig, item_neighbours
from snowmelt.training.vectors import build_tables
from snowmelt.training.vectors_content import ContentConfig, content_map, content_vectors, fit_encoder
from snowmelt.training.vectors_factors import FactorsConfig, item_factors
from snowmelt.training.vectors_interactions import Interactions
from tests.retrieval import shop
from tests.retrieval.conftest import CONFIG


def interactions(rows: Rows, limit: int = 1000) -> Interactions:
    return Interactions.of(rows, np.sort(shop.catalogue().keys), shop.NOW_MS, limit)


def test_pairs_count_once_with_their_last_time() -> None:
    now = shop.NOW_MS
    rows = shop.rows(
        ["a", "a", "a", "", "b", "b"], ["i1", "i1", "i2", "i1", "i1", "nowhere"],
        [now - 9 * DAY_MS, now - 2 * DAY_MS, now - DAY_MS, now, now + 1, now],
    )  # fmt: skip
    pairs = interactions(rows)
    assert len(pairs) == 2  # b's are later than the instant or of no item; "" is an impression
    assert pairs.ages_days.tolist() == [2.0, 1.0]
    assert pairs.counts.tolist() == [2, 1]
    assert len(interactions(rows, limit=1)) == 1
    assert interactions(rows, limit=1).ages_days.tolist() == [1.0]


def test_neighbours_equal_the_formula(shopping: Rows) -> None:
    pairs, config = interactions(Rows.concat([shopping, shopping.take(np.arange(500))])), NeighboursConfig(limit=5)
    near = item_neighbours(pairs, config)
    lengths = np.bincount(pairs.users)
    active, mean = np.count_nonzero(lengths), len(pairs) / np.count_nonzero(lengths)
    dense = np.zeros((40, 40))
    frequency = np.bincount(pairs.items, minlength=40)
    for user in range(pairs.user_count):
        mine = np.flatnonzero(pairs.users == user)
        norm = config.k1 * (1 - config.b + config.b * lengths[user] / mean)
        once = (config.k1 + 1) / (1 + norm)
        for source, count, source_age in zip(pairs.items[mine], pairs.counts[mine], pairs.ages_days[mine], strict=True):
            often = (config.k1 + 1) * count / (count + norm) * 2 ** (-source_age / config.source_half_life_days)
            idf = np.log(1 + (active - frequency[source] + 0.5) / (frequency[source] + 0.5))
            for target, age in zip(pairs.items[mine], pairs.ages_days[mine], strict=True):
                dense[source, target] += often * idf * once * 2 ** (-age / config.half_life_days)
    np.fill_diagonal(dense, 0)
    for row in range(40):
        columns, weights = near.row(row)
        best = np.argsort(-dense[row], kind="stable")[:5]
        assert columns.tolist() == best.tolist()
        np.testing.assert_allclose(weights, dense[row][best], rtol=1e-5)


def test_fold_in_is_the_users_step_of_the_factorisation(shopping: Rows) -> None:
    pairs = interactions(shopping)
    config = FactorsConfig(dimensions=8, regularisation=5.0, iterations=30)
    factors = item_factors(pairs, config)
    gram = factors.T @ factors
    mine = pairs.users == 0
    weights = pairs.recency(config.half_life_days)[mine].astype(np.float32)
    user = fold_in(factors[pairs.items[mine]], weights, gram, config.fold_in)
    # The gradient of the loss that implicit ALS lowers must be 0 there.
    confidence = np.ones(40)
    confidence[pairs.items[mine]] += config.confidence * weights
    wanted = np.zeros(40)
    wanted[pairs.items[mine]] = 1
    gradient = factors.T @ (confidence * (factors @ user - wanted)) + config.regularisation * user
    assert np.abs(gradient).max() < 1e-3


def test_content_map_solves_the_ridge_regression(shopping: Rows) -> None:
    catalogue, random = shop.catalogue(), np.random.default_rng(4)
    encoder = fit_encoder(catalogue, ContentConfig())
    contents = content_vectors(encoder, catalogue)
    factors = random.normal(size=(40, 3)).astype(np.float32)
    weights = random.random(40).astype(np.float32)
    width = len(encoder.vocabulary)
    found = content_map(contents, width, factors, weights, ContentConfig(iterations=200))
    dense = np.zeros((40, width))
    for row in range(40):
        places, values = contents.row(row)
        dense[row, places] = values
    system = dense.T @ (weights[:, None] * dense) + np.eye(width)
    exact = np.linalg.solve(system, dense.T @ (weights[:, None] * factors))
    np.testing.assert_allclose(found, exact, atol=1e-4)


@pytest.mark.parametrize("events", [0, 1])
def test_tables_of_hardly_anything(events: int) -> None:
    rows = shop.rows(["a"] * events, ["i1"] * events, [shop.NOW_MS - DAY_MS] * events)
    tables = build_tables(rows, shop.catalogue(), shop.NOW_MS, CONFIG)
    tables.check()
    assert len(tables) == 40


def test_an_empty_catalogue_has_empty_tables() -> None:
    tables = build_tables(shop.rows([], [], []), shop.columns({}), shop.NOW_MS, CONFIG)
    tables.check()
    assert len(tables) == 0


def test_likes_of_a_kind_are_near(tables: RetrievalTables) -> None:
    """Every neighbour of an item is of its kind: nobody bought two kinds."""
    catalogue = shop.catalogue()
    kind = {key: title.split()[-1] for key, title in zip(catalogue.keys.tolist(), catalogue.titles, strict=True)}
    for place, key in enumerate(tables.keys.tolist()):
        near, _ = tables.neighbours.row(place)
        assert len(near) > 0
        assert {kind[int(tables.keys[n])] for n in near} == {kind[key]}
