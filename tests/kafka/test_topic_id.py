"""A topic id, as Kafka's own tools print it."""

import pytest

from snowmelt.runtime.kafka.admin import printed_id


@pytest.mark.parametrize(
    ("client", "printed"),
    [
        ("rYJZ3kqvTNeSgmb7ZqpEDg", "rYJZ3kqvTNeSgmb7ZqpEDg"),
        ("a/b+c/DmQ8yv1Yl0Zk+2xQ", "a_b-c_DmQ8yv1Yl0Zk-2xQ"),
    ],
)
def test_no_sign_of_an_id_divides_a_path(client: str, printed: str) -> None:
    assert printed_id(client) == printed
