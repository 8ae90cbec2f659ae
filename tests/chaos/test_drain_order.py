"""A hot key may delay its own partition alone: what the pressure drill takes for fair, and what not."""

from collections.abc import Callable

import pytest

from snowmelt.chaos.drain_order import DrainOrder, Order

HOT, SIZES = ("events", 2), {("events", 0): 100, ("events", 1): 100, ("events", 2): 900, ("events", 3): 100}
Step = Callable[[dict[tuple[str, int], int]], dict[tuple[str, int], int]]


def drained(step: Step) -> Order:
    watched, left, second = DrainOrder(dict.fromkeys(SIZES, 7), {p: 7 + n for p, n in SIZES.items()}), dict(SIZES), 0
    while not watched.done:
        watched.see({place: 7 + size - left[place] for place, size in SIZES.items()}, float(second))
        left, second = step(left), second + 1
    return watched.order


def test_equal_parts_are_fair() -> None:
    order = drained(lambda left: {place: max(0, size - 10) for place, size in left.items()})
    assert order.hot_left == pytest.approx(order.hot_left_fair) == pytest.approx(8 / 9)
    assert (order.others_s, order.hot_s) == (10.0, 90.0)
    assert order.fair


def test_as_they_came_is_not() -> None:
    order = drained(lambda left: {place: max(0, left[place] - SIZES[place] // 20) for place in left})
    assert order.hot_left == 0
    assert not order.fair


def test_the_hot_one_first_is_not() -> None:
    def step(left: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        return left | {HOT: 0} if left[HOT] else dict.fromkeys(left, 0)

    order = drained(step)
    assert (order.hot_s, order.others_s) == (1.0, 2.0)
    assert not order.fair
