"""The items in a serving process: content and statistics, followed from Redis's change logs."""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, Keys
from snowmelt.contracts.items import ItemColumns, Rows
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.change_feed import ChangeFeed, Changes
from snowmelt.featurestore.connection import connect
from snowmelt.featurestore.damage import States, read_sound
from snowmelt.featurestore.item_content import ItemContent
from snowmelt.featurestore.item_statistics import ItemStatistics
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.runtime import metrics

CONTENT_VIEW = "item_content"
STATISTICS_VIEW = "item_stats"
POLL_S = 0.2
AGAIN_S = 5.0
"""Until everything is read anew, where what was read could not be taken."""
REBUILD = "`snowmelt rebuild online` makes it anew"
SHOWN = 5
"""Damaged items that the log names at most."""
T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class ItemReplica:
    """A snapshot, then the changes, five times a second, in a thread of its own; an ItemSource.

    Content is a value that is replaced as a whole; statistics are finished when asked, so that windows fall although
    nothing changes. Where Redis is away the last known items go on serving, and ``age_ms`` says so; so they do where
    other views wrote the live generation, until these are on disk. Every slate changes the statistics of its items:
    ``statistics_s`` is how often at most they are read anew, for who can wait.
    """

    def __init__(
        self,
        url: str,
        views: LiveViews,
        tenant: str = DEFAULT_TENANT,
        timeout_s: float = 1.0,
        statistics_s: float = POLL_S,
    ) -> None:
        self._client = connect(url, timeout_s)
        self._feed = ChangeFeed(self._client, (CONTENT_VIEW, STATISTICS_VIEW), tenant, views.of_generation)
        self._live, self._views, self._tenant = views, views.current, tenant
        self._content = ItemContent.empty()
        self._statistics = ItemStatistics(self._views.views[STATISTICS_VIEW], tenant)
        self._statistics_s, self._statistics_at = statistics_s, -math.inf
        self._read_at: float | None = None
        self._fault = ""
        self._damaged: dict[str, set[str]] = {}
        self._callbacks: list[Callable[[Keys], None]] = []
        self._on_views: list[Callable[[], None]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="item-replica", daemon=True)

    def start(self) -> None:
        """Begins to follow; returns at once, also where Redis is away."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and the connection."""
        self._stop.set()
        self._thread.join()
        self._client.close()

    def on_content(self, callback: Callable[[Keys], None]) -> None:
        """Calls back with the keys, uint64[m], of items that are new or changed; from the replica's thread."""
        self._callbacks.append(callback)

    def on_views(self, callback: Callable[[], None]) -> None:
        """Calls back when the items are those of other compiled views than before; from the replica's thread."""
        self._on_views.append(callback)

    def views(self) -> CompiledViews:
        """The compiled views that wrote what is held here."""
        return self._views

    def age_ms(self) -> float | None:
        """Since when the replica may lie behind the online store; None before it was read once."""
        return None if self._read_at is None else (time.monotonic() - self._read_at) * 1000

    def missing(self, age_ms_max: float) -> list[str]:
        """Why the items cannot be relied on, for readiness: unread, or too far behind; empty where they can."""
        age_ms, why = self.age_ms(), f": {self._fault}" if self._fault else ""
        if age_ms is None:
            return [f"the item replica has not been read yet{why}"]
        return [] if age_ms <= age_ms_max else [f"the item replica is {age_ms:.0f} ms behind{why}"]

    def columns(self) -> ItemColumns:
        """The newest content."""
        return self._content.columns

    def rows(self, keys: Keys) -> Rows:
        """int64[n]: each key's row in ``columns()``; -1 where it is unknown."""
        return self._content.index.find(keys)

    def statistics(self, keys: Keys, as_of_ms: int) -> dict[str, npt.NDArray[np.float32]]:
        """Each scalar feature of the view item_stats by name, float32[n], finished at ``as_of_ms``."""
        return self._statistics.read(keys, as_of_ms)

    def _follow(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            wait_s = self._look()

    def _look(self) -> float:
        """Takes what has changed; how long to wait until the next look, seconds."""
        begun = time.monotonic()
        # Half a poll early, so that statistics asked for at every poll are read at every poll.
        due = begun - self._statistics_at >= self._statistics_s - POLL_S / 2
        try:
            try:
                changes = self._feed.poll(() if due else (CONTENT_VIEW,))
            except SnowmeltError as error:
                self._say(error.detail)
                return POLL_S
            self._take(changes)
        except SnowmeltError as error:
            self._say(error.detail)
        except Exception:  # noqa: BLE001 the thread lives on, and the log says why the items are old
            _LOG.exception("what changed of the items could not be taken; trying again")
        else:
            self._read_at, self._fault = begun, ""
            self._statistics_at = begun if due else self._statistics_at
            return POLL_S
        # Everything is asked for again: a change that was read and not taken must not be missed.
        self._feed.forget()
        return AGAIN_S

    def _say(self, fault: str) -> None:
        if fault != self._fault:
            _LOG.warning("the item replica waits: %s", fault)
        self._fault = fault

    def _take(self, changes: Changes) -> None:
        views = self._live.of_generation(changes.generation) if changes.reset else self._views
        content = ItemContent.empty() if changes.reset else self._content
        statistics = self._statistics
        if changes.reset:
            statistics = ItemStatistics(views.views[STATISTICS_VIEW], self._tenant)
        touched = np.empty(0, np.uint64)

        def update(states: States) -> tuple[ItemContent, Keys]:
            return content.updated(views.views[CONTENT_VIEW], [state for _, state in states])

        if taken := self._read(changes, CONTENT_VIEW, update):
            content, touched = taken
        self._read(changes, STATISTICS_VIEW, statistics.update)
        others = views is not self._views
        self._views, self._statistics, self._content = views, statistics, content
        if others:  # first: what fails below is tried again, but these views are no others then
            for tell in self._on_views:
                tell()
        if len(touched):
            for callback in self._callbacks:
                callback(touched)

    def _read(self, changes: Changes, view: str, read: Callable[[States], T]) -> T | None:
        """What ``read`` gives of a view's changes; of items that are damaged what was known stands, on a reset nothing.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where all states that there are would be damaged: they are others.
        """
        states = changes.states.get(view, ())
        found, damaged = read_sound(states, read) if states else (None, [])
        if changes.reset and damaged and len(damaged) == len(states):
            raise SnowmeltError(Reason.FEATURES_MISMATCH, f"no state of {view} can be read: {REBUILD}")
        if damaged:
            named = ", ".join([*map(repr, damaged[:SHOWN]), *(["and others"] if len(damaged) > SHOWN else [])])
            rest = "they are not known" if changes.reset else "what was known of them stands"
            _LOG.error("damaged states of %d items in %s (%s), %s: %s", len(damaged), view, named, rest, REBUILD)
        before = set() if changes.reset else self._damaged.get(view, set())
        self._damaged[view] = before - {item for item, _ in states} | set(damaged)
        metrics.DAMAGED_ITEMS.labels(view).set(len(self._damaged[view]))
        return found
