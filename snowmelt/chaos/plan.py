"""What a drill of kills does: which point of which lane is hit how often, and how a process is brought to it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, zip_longest

HITS = 20
"""Of every point, where there are kills enough."""
POINTS_SHARE = 0.7
"""Of the kills; the others come at random times."""
RANDOM = "random_time"


class Way(StrEnum):
    """How a process is brought to a point."""

    FLOW = "records came"
    START = "it started"
    STOP = "it was told to stop while records came"
    IDLE = "five seconds passed"
    SMALL_FILES = "small files were there to be joined"
    RIVAL = "a second process read the same partitions"
    ALONE = "it joined an empty group"
    TAKES = "it was given partitions that another of its group had"
    GIVES = "another joined its group"
    TIME = "at a random time"


def _around(write: str, *ways: Way) -> dict[str, tuple[Way, ...]]:
    return {f"{when}_{write}": ways for when in ("before", "in", "after")}


_BOTH = _around("offsets", Way.STOP, Way.IDLE, Way.STOP) | {
    "positions_read": (Way.START,),
    "window_read": (Way.START,),
    "between_topics": (Way.FLOW,),
    "returning": (Way.RIVAL,),
    "in_assigned": (Way.TAKES, Way.ALONE),
    "in_revoked": (Way.GIVES,),
    "draining": (Way.STOP,),
}
POINTS: dict[str, dict[str, tuple[Way, ...]]] = {
    "lake": _around("dead", Way.FLOW) | _around("commit", Way.FLOW) | _around("compaction", Way.SMALL_FILES) | _BOTH,
    "features": _around("redis", Way.FLOW) | _around("beat", Way.STOP, Way.STOP, Way.IDLE) | _BOTH,
}
"""By lane every point that ingest names, and the ways to it, taken in turn; a test holds the names against ingest's."""


@dataclass(frozen=True)
class Hit:
    """One kill that is to come."""

    point: str
    way: Way


def plan(kills: int, points: Mapping[str, Sequence[str]] | None = None, seed: int = 7) -> dict[str, list[Hit]]:
    """By lane the kills in a random order.

    Every point of both lanes is hit as often, at least once and at most ``HITS`` times, as the kills allow; where there
    are fewer kills than points, the last ones go without. All other kills come at random times.

    Args:
        kills: in all.
        points: by lane those to be hit; by default all.
        seed: of the order.
    """
    wanted = points or POINTS
    pairs = [
        pair
        for pair in chain.from_iterable(zip_longest(*([(lane, name) for name in wanted[lane]] for lane in wanted)))
        if pair
    ]
    times = min(HITS, max(1, int(kills * POINTS_SHARE) // len(pairs)))
    found: dict[str, list[Hit]] = {lane: [] for lane in wanted}
    for number, (lane, name) in [(number, pair) for number in range(times) for pair in pairs][:kills]:
        ways = POINTS[lane][name]
        found[lane].append(Hit(name, ways[number % len(ways)]))
    for _ in range(kills - sum(map(len, found.values()))):
        min(found.values(), key=len).append(Hit(RANDOM, Way.TIME))
    chance = random.Random(seed)  # noqa: S311 - a drill that can be repeated
    for hits in found.values():
        chance.shuffle(hits)
    return found
