"""Each aggregation under the one suite, and what each means, on a few events that can be counted by hand."""

from snowmelt.contracts.clock import DAY_MS, HOUR_MS, MINUTE_MS
from snowmelt.features.compile import Declared
from tests.features.suite import AggregationSuite


class TestSum(AggregationSuite):
    lines = (
        Declared("purchases_1h", "purchase", "sum", HOUR_MS, 5 * MINUTE_MS),
        Declared("purchases_7d", "purchase", "sum", 7 * DAY_MS),
        Declared("interactions_1d", "interaction", "sum", DAY_MS),
        Declared("spent_7d", "price", "sum", 7 * DAY_MS),
        Declared("stars_3h", "rating.value", "sum", 3 * HOUR_MS),
        Declared("ever", "value", "sum"),
    )
    falling = ("purchases_1h", "purchases_7d", "interactions_1d", "spent_7d")
    fading = ("purchases_1h", "purchases_7d", "interactions_1d", "spent_7d", "stars_3h")


class TestCount(AggregationSuite):
    lines = (
        Declared("rated_1d", "value", "count", DAY_MS),
        Declared("clicks_28d", "click", "count", 28 * DAY_MS),
        Declared("ever", "price", "count"),
    )
    falling = fading = ("rated_1d", "clicks_28d")


class TestMean(AggregationSuite):
    lines = (Declared("price_1d", "price", "mean", DAY_MS), Declared("stars", "rating.value", "mean"))
    fading = ("price_1d",)
    empty = float("nan")


class TestMin(AggregationSuite):
    lines = (
        Declared("cheapest_1d", "price", "min", DAY_MS, 30 * MINUTE_MS),
        Declared("first", "event_time", "min"),
        Declared("first_7d", "event_time", "min", 7 * DAY_MS),
    )
    fading = ("cheapest_1d",)
    empty = float("nan")


class TestMax(AggregationSuite):
    lines = (
        Declared("dearest_7d", "price", "max", 7 * DAY_MS),
        Declared("best", "value", "max"),
        Declared("newest", "event_time", "max"),
    )
    fading = ("dearest_7d",)
    empty = float("nan")


class TestLast(AggregationSuite):
    lines = (Declared("price", "price", "last"), Declared("seen", "event_time", "last"))


class TestDecayedSum(AggregationSuite):
    exact = False
    lines = (
        Declared("purchases", "purchase", "decayed_sum", 7 * DAY_MS),
        Declared("clicks", "click", "decayed_sum", MINUTE_MS),
        Declared("spent", "price", "decayed_sum", DAY_MS),
    )
    falling = fading = ("purchases", "clicks", "spent")


class TestDecayedMean(AggregationSuite):
    exact = False
    entity = "user"
    lines = (Declared("price", "price", "decayed_mean", 30 * DAY_MS),)
    fading = ("price",)
    empty = float("nan")


class TestDecayedCounts(AggregationSuite):
    exact = False
    entity = "user"
    lines = (
        Declared("types", "type", "decayed_counts", 7 * DAY_MS),
        Declared("types_keys", "type", "decayed_counts.keys", 7 * DAY_MS),
        Declared("categories", "category", "decayed_counts", 30 * DAY_MS),
        Declared("categories_keys", "category", "decayed_counts.keys", 30 * DAY_MS),
    )


class TestLatestDistinct(AggregationSuite):
    entity = "user"
    lines = (
        Declared("recent", "item_id", "latest_distinct(3)"),
        Declared("recent_times", "item_id", "latest_distinct(3).times"),
        Declared("recent_types", "item_id", "latest_distinct(3).types"),
        Declared("seen", "item_id", "latest_distinct(2000)"),
        Declared("shelves", "category", "latest_distinct(2)"),
    )


class TestDistinct(AggregationSuite):
    lines = (
        Declared("users_1d", "user_id", "distinct", DAY_MS),
        Declared("users_28d", "user_id", "distinct", 28 * DAY_MS),
        Declared("users", "user_id", "distinct"),
        Declared("types_1h", "type", "distinct", HOUR_MS),
        Declared("categories_7d", "category", "distinct", 7 * DAY_MS),
    )
    falling = fading = ("users_1d", "users_28d", "types_1h", "categories_7d")


class TestTogether(AggregationSuite):
    """Every kind of section in one view: the layout of a state is theirs together."""

    exact = False
    lines = (*TestSum.lines[:3], *TestMin.lines, *TestLast.lines, *TestDecayedSum.lines[:1], *TestDistinct.lines[:2])
