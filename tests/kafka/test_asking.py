"""Where nothing listens at Kafka's addresses, that is known at once."""

import socket
from collections.abc import Iterator

import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.asking import require_listener


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def free() -> Iterator[str]:
    with socket.socket() as bound:  # nobody else gets it, and nothing listens
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_all_must_refuse(free: str, taken: str) -> None:
    for bootstrap in (free, f"{free}, {free}"):
        with pytest.raises(SnowmeltError, match="nothing listens at"):
            require_listener(bootstrap)
    require_listener(f"{free},{taken}")


@pytest.mark.parametrize("bootstrap", ["no.such.host.invalid:9092", "127.0.0.1", "", "a:b"])
def test_what_is_no_refusal_is_left_to_the_client(bootstrap: str) -> None:
    require_listener(bootstrap)


def test_a_verb_is_told_where(free: str, taken: str) -> None:
    with pytest.raises(SnowmeltError, match=f"mend SNOWMELT_KAFKA_BOOTSTRAP.*nothing listens at {free}") as told:
        Admin.at_once(free)
    assert told.value.reason is Reason.UNAVAILABLE
    assert Admin.at_once(taken)
