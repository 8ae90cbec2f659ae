"""Where places begin, found by a thread of its own: a sink that is slow or away holds up no poll, and so no group."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from services.ingest.lane import Lane
from services.ingest.ports import Marks
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.admin import Watermarks
from snowmelt.runtime.kafka.consumer import Place
from snowmelt.runtime.kafka.identity import RemadeError

_LOG = logging.getLogger(__name__)

AT_ONCE = 8
"""Places that are opened together: the first are read while the windows of others are still read back."""
RETRY_S, RETRY_MAX_S = 0.1, 2.0


class Opening:
    """Opens places one after the other, and says of each where to read it from, or why it stands still.

    Args:
        marks: says where logs begin and end.
        lane: is asked where the sink is.
        accepted_gaps: by place the range [from, to) that may be passed over although its records are lost.
        accepted_topics: by topic the id under which it may begin anew although the sink holds one before it.
        remade: is told where a topic is another than it was.
    """

    def __init__(
        self,
        marks: Marks,
        lane: Lane,
        *,
        accepted_gaps: Mapping[Place, tuple[int, int]],
        accepted_topics: Mapping[str, str],
        remade: Callable[[RemadeError], None],
    ) -> None:
        self._marks = marks
        self._lane = lane
        self._gaps = accepted_gaps
        self._topics = accepted_topics
        self._remade = remade
        self._changed = threading.Condition()
        self._wanted: dict[Place, int] = {}
        self._asked = 0
        self._found: dict[Place, int] = {}
        self._doubted: set[str] = set()
        self._ending = False
        self._failed: dict[Place, tuple[int, float]] = {}  # how often, and when to try again
        self._thread = threading.Thread(target=self._guarded, name="opening", daemon=True)
        self.trouble = ""
        self.failure: BaseException | None = None
        self.stopped: dict[Place, str] = {}

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    def want(self, places: Sequence[Place]) -> None:
        """Opens these places, again where they were open."""
        with self._changed:
            for place in places:
                self._asked += 1
                self._wanted[place] = self._asked
                self._found.pop(place, None)
            self._changed.notify()

    def doubt(self, topics: Sequence[str]) -> None:
        """Asks whether these topics are still what they were.

        Raises:
            SnowmeltError: UNAVAILABLE where a topic has no identity that could be asked.
        """
        if topics and self._lane.identity is None:
            raise SnowmeltError(Reason.UNAVAILABLE, f"Kafka cannot be read: the broker does not know {topics}")
        if self._doubted.issuperset(topics):
            return
        with self._changed:
            self._doubted.update(topics)
            self._changed.notify()

    def drop(self, places: Sequence[Place]) -> None:
        """Does not open them after all, and forgets why they stood still."""
        with self._changed:
            for place in places:
                for known in (self._wanted, self._found, self._failed, self.stopped):
                    known.pop(place, None)
            self._clear()

    def found(self) -> dict[Place, int]:
        """Where to read the places from that were opened since the last call."""
        with self._changed:
            found, self._found = self._found, {}
            return found

    @property
    def busy(self) -> bool:
        """Whether some place waits to be opened."""
        return bool(self._wanted)

    def stop(self, place: Place, text: str) -> None:
        """Leaves a place alone, with an alarm."""
        self.stopped[place] = text
        _LOG.error("stopped: %s", text)

    def tell(self) -> None:
        """Tells the thread to end."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def end(self, seconds: float) -> bool:
        """Waits for the thread that was told to end; whether that came about in time."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the polling thread raises it
            self.failure = error

    def _work(self) -> None:
        while (asked := self._next()) is not None:
            try:
                self._confirm({topic for topic, _ in asked} | self._doubted)
                self._open(asked)
            except RemadeError as error:
                self._told(error)
                continue
            except SnowmeltError as error:
                if self.trouble != error.detail:
                    _LOG.error("places cannot be opened: %s", error.detail)
                self.trouble = error.detail
                self._put_off(asked)
                continue
            for place in asked:
                self._failed.pop(place, None)
            self._clear()

    def _put_off(self, asked: Mapping[Place, int]) -> None:
        with self._changed:
            for place in [place for place, number in asked.items() if self._wanted.get(place) == number]:
                self._asked += 1
                self._wanted[place] = self._asked  # behind all others that wait
                times = self._failed[place][0] if place in self._failed else 0
                wait_s = min(RETRY_MAX_S, RETRY_S * 2 ** min(times, 5))
                self._failed[place] = times + 1, time.monotonic() + wait_s
            if asked:
                self._clear()  # none of them may be wanted any more
            else:  # only whether topics are what they were was asked
                self._changed.wait_for(lambda: self._ending, RETRY_S)

    def _clear(self) -> None:
        """Trouble is over once no place waits that has had it, however many others have begun to wait since."""
        with self._changed:
            if self._failed.keys().isdisjoint(self._wanted):
                self.trouble = ""

    def _next(self) -> dict[Place, int] | None:
        """Some places that wait, the longest first; one that could not be opened by itself, so that none waits for it.

        None at the end; empty where topics are doubted and no place can be tried now.
        """
        with self._changed:
            while not self._ending:
                now = time.monotonic()
                due = {place: self._failed[place][1] for place in self._wanted if place in self._failed}
                ready = [place for place in self._wanted if due.get(place, now) <= now]
                if ready or self._doubted:
                    ready.sort(key=self._wanted.__getitem__)
                    whole = [place for place in ready if place not in self._failed]
                    some = ready[:1] if ready and ready[0] in self._failed else whole[:AT_ONCE]
                    return {place: self._wanted[place] for place in some}
                soonest = min(due.values(), default=None)  # whatever waits has failed
                self._changed.wait(None if soonest is None else soonest - now)
            return None

    def _confirm(self, topics: set[str]) -> None:
        """Asks whether each topic is still what it was; one that is not raises RemadeError."""
        if self._lane.identity is None:
            return
        for topic in sorted(topics):
            self._lane.identity.ask(topic)()
            with self._changed:
                self._doubted.discard(topic)

    def _told(self, error: RemadeError) -> None:
        with self._changed:
            self._doubted.discard(error.topic)
            for place in [place for place in self._wanted if place[0] == error.topic]:
                del self._wanted[place]
                self._failed.pop(place, None)
            self._clear()
        self._remade(error)

    def _open(self, asked: Mapping[Place, int]) -> None:
        if not asked:
            return
        marks = dict(self._marks(list(asked)))  # first, as they may fail and cost less than a window
        begun = self._lane.begin(list(asked))
        # A broker whose topics have no identity of their own is new at each start, and that is no loss to be told.
        fresh = [place for place, at in begun.items() if not at and self._lane.identity is not None]
        former = self._lane.former(fresh) if fresh else {}
        if ahead := [place for place, at in begun.items() if at > marks[place].high]:
            marks.update(self._marks(ahead))  # another process may have written meanwhile
        starts = {place: self._start(place, at, marks[place], former.get(place)) for place, at in begun.items()}
        with self._changed:
            for place, start in starts.items():
                if self._wanted.get(place) != asked[place]:
                    continue  # it was taken away since, and given again
                del self._wanted[place]
                if isinstance(start, int):
                    self._found[place] = start
                    self.stopped.pop(place, None)
                elif self.stopped.get(place) != start:
                    self.stop(place, start)

    def _start(self, place: Place, position: int, marks: Watermarks, former: tuple[str, int] | None) -> int | str:
        """Where to read from, or why not to."""
        topic, name = place[0], f"{place[0]}/{place[1]}"
        now = self._lane.incarnation(topic)
        if former is not None and self._topics.get(topic) != now:
            return remade_text(place, former[1], None, now)
        if marks.low <= position <= marks.high:
            return position
        if position > marks.high:
            return f"{name}: the sink is at {position}, but the log ends at {marks.high}"
        if self._gaps.get(place) == (position, marks.low):
            _LOG.warning("%s: records [%d, %d) are lost; passed over as told", name, position, marks.low)
            return marks.low
        gap = f"{name}:{position}-{marks.low}"
        return f"{name}: records [{position}, {marks.low}) are lost; to go on, accept the gap {gap}"


def remade_text(place: Place, position: int, read: int | None, found: str) -> str:
    """What a place says whose topic was made anew.

    Args:
        place: which.
        position: how far the sink holds the topic that was.
        read: how far that one is known to have reached; None where that is not known.
        found: the id of the topic that is there now; empty where there is none.
    """
    name = f"{place[0]}/{place[1]}"
    known = read is not None and read > position
    lost = f"its records [{position}, {read}) and what came after them" if known else f"its records from {position} on"
    if not found:
        return f"{name}: the topic is gone, and with it {lost}: `snowmelt topics create` makes a new one"
    return (
        f"{name}: the topic was made anew, and with the one before {lost} are lost; to begin with the new one, "
        f"set SNOWMELT_INGEST_ACCEPT_TOPICS={place[0]}:{found} and start the lane again"
    )
