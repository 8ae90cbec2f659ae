"""How brokers are asked: each failure is one kind of error, and the client that failed is not used again."""

import errno
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, BrokerMetadata, ClusterMetadata  # type: ignore[attr-defined]

from snowmelt.contracts.errors import Reason, SnowmeltError

CONNECT_S = 0.5
AGAIN_S, LEAST_S = 0.1, 0.1
SILENT = "Kafka does not answer (start it, or mend SNOWMELT_KAFKA_BOOTSTRAP)"
SEEN_S = 1.0
"""How long nodes that answered are taken to do so."""
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
        self._nodes: tuple[BrokerMetadata, ...] = ()
        self._seen = 0.0

    @property
    def client(self) -> AdminClient:
        """The client that has not failed yet, and whose controller answers.

        Any node may be the controller that the client asks next, so that a new answer is had where one has gone.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        client, now = self._client, time.monotonic()
        if client is None:
            return self._asked(now + self._timeout_s)[0]
        if now - self._seen > SEEN_S:
            if not all(map(_answers, self._nodes)):
                return self._asked(now + self._timeout_s)[0]
            self._seen = now
        return client

    def metadata(self) -> ClusterMetadata:
        """What the brokers say of themselves and of the topics.

        Raises:
            SnowmeltError: UNAVAILABLE, also where the controller that they name does not answer.
        """
        return self._asked(time.monotonic() + self._timeout_s)[1]

    def _asked(self, deadline: float) -> tuple[AdminClient, ClusterMetadata]:
        while True:
            with self.failing(SILENT):
                client = self._client or AdminClient(self._settings)
                told = client.list_topics(timeout=max(LEAST_S, deadline - time.monotonic()))
            self._client, self._nodes = client, tuple(told.brokers.values())
            controller = told.brokers.get(told.controller_id)
            if controller is None or _answers(controller):
                return client, told
            if time.monotonic() > deadline:
                detail = f"Kafka's controller does not answer at {controller.host}:{controller.port}"
                raise SnowmeltError(Reason.UNAVAILABLE, detail)
            time.sleep(AGAIN_S)

    def reach_leaders(self, places: Iterable[tuple[str, int]], deadline: float) -> AdminClient:
        """A client, after it was seen that the nodes that lead some partitions answer.

        Raises:
            NoLeaderError: one does not.
            SnowmeltError: UNAVAILABLE.
        """
        client, told = self._asked(deadline)
        led: dict[int, str] = {}
        for topic, partition in places:
            known = told.topics[topic].partitions if topic in told.topics else {}
            leader = known[partition].leader if partition in known else -1
            led.setdefault(leader, f"{topic}/{partition}")
        for node, place in led.items():
            if node not in told.brokers:
                raise NoLeaderError(place)
            if not _answers(told.brokers[node]):
                raise NoLeaderError(
                    place, f": node {node} does not answer at {told.brokers[node].host}:{told.brokers[node].port}"
                )
        return client

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


def require_listener(bootstrap: str) -> None:
    """For who sits and waits: where nothing listens that is said now, and not after the client's timeout.

    Raises:
        SnowmeltError: UNAVAILABLE where all of Kafka's addresses refuse connections.
    """
    if _refuse(bootstrap):
        raise SnowmeltError(Reason.UNAVAILABLE, f"{SILENT}: nothing listens at {bootstrap}")


def _refuse(bootstrap: str) -> bool:
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        except ConnectionRefusedError:
            continue
        except (OSError, ValueError, OverflowError):
            return False
        return False
    return True


def _answers(node: BrokerMetadata) -> bool:
    """Whether a node takes connections; true where that cannot be found out."""
    try:
        socket.create_connection((node.host, node.port), CONNECT_S).close()
    except (socket.gaierror, ValueError, OverflowError):
        return True  # names that are not resolved now do not end the connections that the client has
    except OSError as error:
        return error.errno == errno.EADDRNOTAVAIL
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
