"""The ops listener."""

from collections.abc import Iterator

import httpx
import pytest

from snowmelt.runtime import metrics
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.config import ConfigError, Settings
from snowmelt.runtime.ops import OpsServer

REASONS: list[str] = []


@pytest.fixture
def ops(settings: Settings) -> Iterator[OpsServer]:
    server = OpsServer("127.0.0.1:0", lambda: REASONS, settings)
    server.start()
    yield server
    server.stop()
    REASONS.clear()


def test_health_is_open_and_readiness_says_why(ops: OpsServer) -> None:
    assert httpx.get(f"http://{ops.address}/healthz").status_code == 200
    assert httpx.get(f"http://{ops.address}/readyz").json() == {"ready": True, "reasons": []}
    REASONS.append("no release")
    answer = httpx.get(f"http://{ops.address}/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["no release"])
    assert httpx.get(f"http://{ops.address}/healthz").status_code == 200


def test_metrics_need_the_ops_token(ops: OpsServer, settings: Settings) -> None:
    tokens = Tokens.load(settings.tokens_path)
    url = f"http://{ops.address}/metrics"
    metrics.DEGRADED.labels("ranker").inc()
    assert httpx.get(url).status_code == 401
    assert httpx.get(url).headers["www-authenticate"] == "Bearer"
    assert httpx.get(url, headers={"authorization": f"Bearer {tokens.of(Role.PUBLIC)}"}).status_code == 403
    answer = httpx.get(url, headers={"authorization": f"Bearer {tokens.of(Role.OPS)}"})
    assert 'snowmelt_degraded_answers_total{stage="ranker"}' in answer.text


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nope", {}, 404),
        ("GET", "/healthz", {"host": "evil.example"}, 421),
        ("GET", "/healthz", {"host": "localhost:1"}, 200),
        ("POST", "/healthz", {}, 501),
    ],
)
def test_other_requests(ops: OpsServer, method: str, path: str, headers: dict[str, str], status: int) -> None:
    assert httpx.request(method, f"http://{ops.address}{path}", headers=headers).status_code == status


def test_it_stays_on_loopback(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="beyond loopback"):
        OpsServer("0.0.0.0:0", list, settings)
