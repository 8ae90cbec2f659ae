"""Whether a topic is still the one that a reader began with, or another of the same name."""

import time
from collections.abc import Callable, Mapping

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.admin import Admin

GONE_S = 10.0
"""How long brokers must not know a topic before it is gone; one that has just come up may know less than it will."""

AGAIN_S = 3.0
"""Two answers further apart than this say nothing of the time between them."""


class RemadeError(Exception):
    """A topic was made anew, or is gone; ``found`` is the id that it has now, empty where there is none."""

    def __init__(self, topic: str, found: str) -> None:
        super().__init__(f"{topic} was made anew: its id is {found}" if found else f"{topic} does not exist any more")
        self.topic = topic
        self.found = found


class Identity:
    """Asks the brokers; ids never come again, so that what was read before the answer is the topic's own.

    Args:
        admin: where to ask.
        incarnations: by topic the id that it should have.
    """

    def __init__(self, admin: Admin, incarnations: Mapping[str, str]) -> None:
        self._admin = admin
        self._incarnations = incarnations
        self._unknown: dict[str, tuple[float, float]] = {}

    def ask(self, topic: str) -> Callable[[], None]:
        """Begins to ask; what comes back waits for the answer, and asks anew where it is called again.

        That raises RemadeError, or SnowmeltError UNAVAILABLE where the brokers do not answer.
        """
        asked = [self._admin.ask_incarnations([topic])[topic]]

        def confirm() -> None:
            answer = asked.pop() if asked else self._admin.ask_incarnations([topic])[topic]
            self._judge(topic, answer())

        return confirm

    def _judge(self, topic: str, found: str | None) -> None:
        if found is None:
            now = time.monotonic()
            first, last = self._unknown.get(topic, (now, now))
            first = now if now - last > AGAIN_S else first
            self._unknown[topic] = (first, now)
            if now - first > GONE_S:
                raise RemadeError(topic, "")
            raise SnowmeltError(Reason.UNAVAILABLE, f"the brokers do not know topic {topic} now")
        self._unknown.pop(topic, None)
        if found != self._incarnations[topic]:
            raise RemadeError(topic, found)
