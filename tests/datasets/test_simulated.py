"""The simulated shop: the same from the same seed, and with something to learn in it."""

import numpy as np

from snowmelt.datasets.simulated import simulate


def test_a_seed_decides_everything() -> None:
    a, b, c = (simulate(seed, users=60, items=80, days=30) for seed in (1, 1, 2))
    assert a.events == b.events
    assert a.catalogue == b.catalogue
    assert a.events != c.events
    assert a.simulated


def test_it_is_in_order_and_nothing_sells_before_it_is_offered() -> None:
    data = simulate(3, users=100, items=80, days=30)
    times = data.events["event_time_ms"].to_numpy()
    assert np.all(np.diff(times) >= 0)
    offered = dict(
        zip(data.catalogue["item_id"].to_pylist(), data.catalogue["available_from_ms"].to_pylist(), strict=True)
    )
    assert all(offered[i] <= t for i, t in zip(data.events["item_id"].to_pylist(), times, strict=True))
    assert set(data.events["type"].to_pylist()) == {"view", "click", "add_to_cart", "purchase"}


def test_users_have_tastes() -> None:
    data = simulate(4, users=200, items=200, days=60)
    main = [c[0] for c in data.events["categories"].to_pylist()]
    of_user: dict[str, list[str]] = {}
    for user, category in zip(data.events["user_id"].to_pylist(), main, strict=True):
        of_user.setdefault(user, []).append(category)
    shares = [max(map(words.count, set(words))) / len(words) for words in of_user.values() if len(words) >= 20]
    overall = max(map(main.count, set(main))) / len(main)
    assert np.mean(shares) > 2 * overall
