"""How brokers are asked: each failure is one kind of error, and the client that failed is not used again."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, BrokerMetadata, ClusterMetadata  # type: ignore[attr-defined]

from snowmelt.contracts.errors import Reason, SnowmeltError

CONNECT_S = 0.5
AGAIN_S = 0.1
T = TypeVar("T")
_PASSING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._TRANSPORT,
)


class NoLeaderError(SnowmeltError):
    """UNAVAILABLE: no node that answers leads a partition."""

    def __init__(self, place: str, why: str = "") -> None:
        super().__init__(Reason.UNAVAILABLE, f"{place} has no leader now{why}")


class Asker:
    """A client for administration that is spared what it cannot bear, and made anew after it has failed.

    librdkafka 2.16 keeps a core busy while it waits for a controller or a leader that does not answer, goes on to do so
    after the answer was given up, and may then say that a log ends at -1001. So whether they answer is seen first.

    Args:
        bootstrap: Kafka's addresses.
        timeout_s: how long to wait for what the brokers say of themselves.
    """

    def __init__(self, bootstrap: str, timeout_s: float) -> None:
        self._settings: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 2}
        self._timeout_s = timeout_s
        self._client: AdminClient | None = None
        self._controller: BrokerMetadata | None = None

    @property
    def client(self) -> AdminClient:
        """The client that has not failed yet, and whose controller answers.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        client = self._client
        return client if client is not None and _answers(self._controller) else self._asked()[0]

    def metadata(self) -> ClusterMetadata:
        """What the brokers say of themselves and of the topics.

        Raises:
            SnowmeltError: UNAVAILABLE, also where the controller that they name does not answer.
        """
        return self._asked()[1]

    def _asked(self) -> tuple[AdminClient, ClusterMetadata]:
        deadline = time.monotonic() + self._timeout_s
        while True:
            client = self._client or AdminClient(self._settings)
            with self.failing("Kafka does not answer (start it, or mend SNOWMELT_KAFKA_BOOTSTRAP)"):
                told = client.list_topics(timeout=self._timeout_s)
            controller = told.brokers.get(told.controller_id)
            if _answers(controller):
                self._client, self._controller = client, controller
                return client, told
            self._client = None
            if time.monotonic() > deadline:
                detail = f"Kafka's node {told.controller_id}, its controller, does not answer"
                raise SnowmeltError(Reason.UNAVAILABLE, detail)
            time.sleep(AGAIN_S)

    def reach_leaders(self, places: Iterable[tuple[str, int]]) -> None:
        """Sees that the nodes that lead some partitions answer.

        Raises:
            NoLeaderError: one does not.
            SnowmeltError: UNAVAILABLE.
        """
        told = self.metadata()
        led: dict[int, str] = {}
        for topic, partition in places:
            known = told.topics[topic].partitions if topic in told.topics else {}
            leader = known[partition].leader if partition in known else -1
            led.setdefault(leader, f"{topic}/{partition}")
        for node, place in led.items():
            if node not in told.brokers:
                raise NoLeaderError(place)
            if not _answers(told.brokers[node]):
                raise NoLeaderError(place, f": node {node} does not answer")

    def call(self, what: str, work: Callable[[AdminClient], T]) -> T:
        """What ``work`` answers; ``what`` says in an error what cannot be had.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        client = self.client
        with self.failing(what):
            return work(client)

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """Makes an error of the client ours, and has the next call made by another client."""
        try:
            yield
        except (KafkaException, TimeoutError) as error:
            self._client = None
            raise _unavailable(what, error) from error


def _answers(node: BrokerMetadata | None) -> bool:
    """Whether a node takes connections; true of one that is not known, as with a broker that names no controller."""
    if node is None:
        return True
    try:
        socket.create_connection((node.host, node.port), CONNECT_S).close()
    except OSError:
        return False
    return True


def _unavailable(what: str, error: KafkaException | TimeoutError) -> SnowmeltError:
    said = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
    return SnowmeltError(Reason.UNAVAILABLE, f"{what}: {said}")


def code_of(error: KafkaException) -> int:
    """What the client says went wrong, as KafkaError names it."""
    return int(error.args[0].code())


def passing(error: SnowmeltError) -> bool:
    """Whether an error is that of a partition whose leader is being chosen."""
    cause = error.__cause__
    return isinstance(error, NoLeaderError) or (isinstance(cause, KafkaException) and code_of(cause) in _PASSING)
