"""The items in a serving process: content and statistics, followed from Redis's change logs."""

import logging
import math
import threading
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, Keys
from snowmelt.contracts.items import ItemColumns, Rows
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.change_feed import ChangeFeed, Changes
from snowmelt.featurestore.connection import connect
from snowmelt.featurestore.generations import check_views
from snowmelt.featurestore.item_content import ItemContent
from snowmelt.featurestore.item_statistics import ItemStatistics

CONTENT_VIEW = "item_content"
STATISTICS_VIEW = "item_stats"
POLL_S = 0.2

_LOG = logging.getLogger(__name__)


class ItemReplica:
    """A snapshot, then the changes, five times a second, in a thread of its own; an ItemSource.

    Content is a value that is replaced as a whole; statistics are finished when asked, so that windows fall although
    nothing changes. Where Redis is away the last known items go on serving, and ``age_ms`` says so. Every slate changes
    the statistics of its items: ``statistics_s`` is how often at most they are read anew, for who can wait.
    """

    def __init__(
        self,
        url: str,
        views: CompiledViews,
        tenant: str = DEFAULT_TENANT,
        timeout_s: float = 1.0,
        statistics_s: float = POLL_S,
    ) -> None:
        self._client = connect(url, timeout_s)
        self._feed = ChangeFeed(self._client, (CONTENT_VIEW, STATISTICS_VIEW), tenant)
        self._views_hash = views.hash
        self._content_view = views.views[CONTENT_VIEW]
        self._statistics_view, self._tenant = views.views[STATISTICS_VIEW], tenant
        self._content = ItemContent.empty()
        self._statistics = ItemStatistics(self._statistics_view, tenant)
        self._statistics_s, self._statistics_at = statistics_s, -math.inf
        self._read_at: float | None = None
        self._callbacks: list[Callable[[Keys], None]] = []
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

    def age_ms(self) -> float | None:
        """Since when the replica may lie behind the online store; None before it was read once."""
        return None if self._read_at is None else (time.monotonic() - self._read_at) * 1000

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
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                # Half a poll early, so that statistics asked for at every poll are read at every poll.
                due = begun - self._statistics_at >= self._statistics_s - POLL_S / 2
                self._take(self._feed.poll(() if due else (CONTENT_VIEW,)))
                self._read_at = begun
                self._statistics_at = begun if due else self._statistics_at
            except SnowmeltError as error:
                # Everything is asked for again: a change that was read and not taken must not be missed.
                self._feed.forget()
                _LOG.warning("the item replica waits: %s", error.detail)
            self._stop.wait(POLL_S)

    def _take(self, changes: Changes) -> None:
        if changes.generation:
            check_views(changes.generation, self._views_hash)
        content = ItemContent.empty() if changes.reset else self._content
        statistics = ItemStatistics(self._statistics_view, self._tenant) if changes.reset else self._statistics
        touched = np.empty(0, np.uint64)
        if fresh := changes.states.get(CONTENT_VIEW, ()):
            content, touched = content.updated(self._content_view, [state for _, state in fresh])
        if counted := changes.states.get(STATISTICS_VIEW, ()):
            statistics.update(counted)
        self._statistics, self._content = statistics, content
        if len(touched):
            for callback in self._callbacks:
                callback(touched)
