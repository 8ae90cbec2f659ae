"""The gateway as a process: it answers with nothing around it, and says in one line what the operator can mend."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from snowmelt.chaos.rig import free_port
from snowmelt.client import AdminClient, Client, token_of
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.defaults import default_views
from snowmelt.runtime.auth import Role
from tests.fixtures.redis import RedisServer
from tests.gateway.house import ITEMS, House, eventually

DOORS = ("GRPC", "REST", "ADMIN", "ADMIN_GRPC", "OPS")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    default_views().dump(tmp_path / "views.json")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SNOWMELT_", "OTEL_"))}
    return {
        **kept,
        "SNOWMELT_STATE_DIR": str(tmp_path),
        "SNOWMELT_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "SNOWMELT_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}",
        "SNOWMELT_GATEWAY_RETRIEVAL_TARGET": f"127.0.0.1:{free_port()}",
        "SNOWMELT_GATEWAY_RANKER_TARGET": f"127.0.0.1:{free_port()}",
        **{f"SNOWMELT_GATEWAY_{door}_ADDRESS": f"127.0.0.1:{free_port()}" for door in DOORS},
    }


Start = Callable[[dict[str, str]], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(environ: dict[str, str]) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-P", "-m", "services.gateway"]
        started.append(subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def _alive(environ: dict[str, str]) -> bool:
    try:
        return httpx.get(f"http://{environ['SNOWMELT_GATEWAY_OPS_ADDRESS']}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_it_starts_and_answers_with_nothing_around_it(environ: dict[str, str], start: Start) -> None:
    process = start(environ)
    eventually(lambda: _alive(environ), 30)
    tokens = Path(environ["SNOWMELT_STATE_DIR"]) / "tokens.json"
    with Client(environ["SNOWMELT_GATEWAY_GRPC_ADDRESS"], token=token_of(tokens, Role.PUBLIC)) as client:
        answer = client.recommend("u")
        assert (len(answer.items), answer.reason, answer.rung) == (0, "no_items", "popularity")
        assert set(answer.degraded) == {"features", "retrieval"}
        with pytest.raises(SnowmeltError) as caught:
            client.user_state("u")
        assert caught.value.reason is Reason.UNAVAILABLE
    with AdminClient(environ["SNOWMELT_GATEWAY_ADMIN_GRPC_ADDRESS"], token=token_of(tokens, Role.ADMIN)) as admin:
        status = admin.status()
        assert not status.ready
        assert {"retrieval does not answer", "the ranker does not answer"} <= set(status.reasons)
    assert httpx.get(f"http://{environ['SNOWMELT_GATEWAY_OPS_ADDRESS']}/readyz").status_code == 503
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 0
    for role in Role:
        assert token_of(tokens, role) not in said


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"SNOWMELT_GATEWAY_GRPC_ADDRESS": "0.0.0.0:7050"}, 78, "0.0.0.0:7050: a listener beyond loopback needs TLS"),
        ({"SNOWMELT_GATEWAY_OPS_ADDRESS": "0.0.0.0:7050"}, 78, "0.0.0.0:7050: a listener beyond loopback needs TLS"),
        ({"SNOWMELT_GATEWAY_REST_ADDRESS": "127.0.0.1:70000"}, 78, "127.0.0.1:70000: an address is HOST:PORT"),
        ({"SNOWMELT_GATEWAY_REST_ADRESS": "x"}, 78, "did you mean SNOWMELT_GATEWAY_REST_ADDRESS?"),
        ({"SNOWMELT_GATEWAY_CANDIDATES": "0"}, 78, "SNOWMELT_GATEWAY_CANDIDATES: "),
        ({"SNOWMELT_GATEWAY_TLS_CERT_PATH": "/nope.pem"}, 78, "SNOWMELT_GATEWAY_TLS_CERT_PATH: there is no such file"),
        ({"SNOWMELT_VIEWS_PATH": "/nope.json"}, 78, "SNOWMELT_VIEWS_PATH: /nope.json: there are no compiled views"),
        ({"SNOWMELT_REDIS_URL": "http://x"}, 78, "SNOWMELT_REDIS_URL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, 78, "OTEL"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            78,
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ),
    ],
)
def test_what_the_operator_can_mend_is_one_line(
    environ: dict[str, str], start: Start, changes: dict[str, str], code: int, said: str
) -> None:
    process = start({**environ, **changes})
    _, errors = process.communicate(timeout=40)
    assert process.returncode == code, errors
    assert said in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("door", DOORS)
def test_a_port_that_is_taken_is_exit_69(environ: dict[str, str], start: Start, door: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        process = start({**environ, f"SNOWMELT_GATEWAY_{door}_ADDRESS": taken})
        _, errors = process.communicate(timeout=40)
    assert process.returncode == 69, errors
    lines = [line for line in errors.splitlines() if not line.startswith(("{", "%"))]
    assert len(lines) == 1
    assert taken in lines[0]


def test_it_imports_neither_feast_nor_pandas_nor_an_engine() -> None:
    script = (
        "import sys, services.gateway.server; "
        "print([m for m in ('feast', 'pandas', 'faiss', 'lightgbm', 'deltalake') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_while_redis_hangs_answers_come_without_features_and_within_the_budget(
    tmp_path: Path, redis_server: Callable[[], RedisServer], broker: str
) -> None:
    server = redis_server()
    house = House(tmp_path, server.url, broker, budget_ms=200)
    try:
        house.upsert(ITEMS)
        house.did("ann", ("click", "i0"))
        with house.client() as client:
            eventually(
                lambda: client.recommend("ann").rung == "full" and len(client.recommend("ann", k=20).items) == 11
            )
            server.pause()
            for _ in range(5):
                answer = client.recommend("ann", k=5)
                assert (list(answer.degraded), answer.rung, len(answer.items)) == (["features"], "full", 5)
                assert not answer.cold_start
                assert sum(s.duration_ms for s in answer.stages if s.name == "features") < 100
            server.resume()
            eventually(lambda: not client.recommend("ann", k=5).degraded, 3)
    finally:
        house.close()
