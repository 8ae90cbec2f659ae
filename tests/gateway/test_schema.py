"""The OpenAPI document against the door: generated requests, good and bad, over every operation."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
)

from snowmelt.runtime.auth import Role
from tests.gateway.house import House

OPERATIONS = (
    ("POST", "/v1/recommend"),
    ("POST", "/v1/events"),
    ("POST", "/v1/items"),
    ("POST", "/v1/items/withdraw"),
    ("GET", "/v1/users/{user_id}/state"),
)


def refused(context: Any, response: Any, case: Any) -> Any:
    """Bad data is refused; by its size too, which schemathesis does not count as such."""
    return None if response.status_code == 413 else negative_data_rejection(context, response, case)


CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, refused]


@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("verb", "path"), OPERATIONS)
def test_generated_requests_meet_the_schema(house: House, verb: str, path: str, mode: Any) -> None:
    base = f"http://{house.gateway.rest_address}"
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    headers = {"authorization": f"Bearer {house.tokens.of(Role.PUBLIC)}"}
    operation = schema[path][verb]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=base, headers=headers, checks=CHECKS, timeout=20)

    ask()


EVENT = {
    "event_id": "schema-1", "tenant": "default", "user_id": "sue", "session_id": "s", "item_id": "i1", "type": "click",
    "value": 1.5, "event_time_ms": 1_700_000_000_000, "request_id": "r", "position": 1, "surface": "home",
    "context": {"a": "b"},
}  # fmt: skip


def test_an_event_may_have_all_that_the_schema_offers(house: House) -> None:
    with house.rest() as client:
        offered = client.get("/openapi.json").json()["components"]["schemas"]["Event"]["properties"]
        answer = client.post("/v1/events", json={"events": [{name: EVENT[name] for name in offered}]})
    assert answer.status_code == 200, answer.text
    assert "item_id" in offered
