"""How brokers are asked: each failure is one kind of error, and the client that failed is not used again."""

from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from snowmelt.contracts.errors import Reason, SnowmeltError

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


class Asker:
    """A client for administration, made anew after it has failed.

    librdkafka 2.16 keeps a core busy while it waits for a controller or leader that is dead, and goes on to do so after
    the answer was given up.
    """

    def __init__(self, bootstrap: str) -> None:
        self._settings: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 2}
        self._client: AdminClient | None = None

    @property
    def client(self) -> AdminClient:
        """The client that has not failed yet."""
        if self._client is None:
            self._client = AdminClient(self._settings)
        return self._client

    def call(self, what: str, work: Callable[[AdminClient], T]) -> T:
        """What ``work`` answers; ``what`` says in an error what cannot be had.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        try:
            return work(self.client)
        except (KafkaException, TimeoutError) as error:
            self._client = None
            raise _unavailable(what, error) from error


def _unavailable(what: str, error: KafkaException | TimeoutError) -> SnowmeltError:
    said = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
    return SnowmeltError(Reason.UNAVAILABLE, f"{what}: {said}")


def code_of(error: KafkaException) -> int:
    """What the client says went wrong, as KafkaError names it."""
    return int(error.args[0].code())


def passing(error: BaseException | None) -> bool:
    """Whether an error is that of a partition whose leader is being chosen."""
    return isinstance(error, KafkaException) and code_of(error) in _PASSING
