"""compose.yaml is what its own tool takes, has every part, and gives each process settings that it knows."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.gateway.config import GatewaySettings
from services.ingest.config import IngestSettings
from services.ranker.config import RankerSettings
from services.retrieval.config import RetrievalSettings
from services.trainer.config import TrainerSettings
from snowmelt.cli.status import TRAINER
from snowmelt.runtime.config import Settings, load
from snowmelt.runtime.kafka.jars import KAFKA_VERSION
from tests.docs.pages import ROOT

FILE = ROOT / "compose.yaml"
SETTINGS: dict[str, type[Settings]] = {
    "services.gateway": GatewaySettings,
    "services.ingest": IngestSettings,
    "services.ranker": RankerSettings,
    "services.retrieval": RetrievalSettings,
    "services.trainer": TrainerSettings,
}

PROCESSES = {
    "ingest-lake": "readyz",
    "ingest-features": "readyz",
    "gateway": "readyz",
    "retrieval": "healthz",
    "ranker": "healthz",
    "trainer": "readyz",
}
"""By process what its health is: retrieval and ranker are not ready before the first release."""


def _services() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text())["services"])


def _environ(service: dict[str, Any]) -> dict[str, str]:
    environ = {key: str(value) for key, value in service["environment"].items()}
    return {**environ, "SNOWMELT_CLOCK_OFFSET_MS": "0"}  # compose puts the operator's own in its place


def _tool() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    plugin = ["docker", "compose"]
    if shutil.which("docker") and not subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode:
        return plugin
    if os.environ.get("CI"):
        pytest.fail("neither docker-compose nor docker compose is installed", pytrace=False)
    pytest.skip("neither docker-compose nor docker compose is installed")


def test_its_own_tool_takes_it() -> None:
    done = subprocess.run(
        [*_tool(), "-f", str(FILE), "config", "-q"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_every_process_is_there_and_knows_its_settings() -> None:
    modules = {name: (service.get("command") or [""])[0] for name, service in _services().items()}
    seen = {name: module for name, module in modules.items() if module in SETTINGS}
    assert set(seen) == set(PROCESSES)
    assert set(seen.values()) == set(SETTINGS)
    found = {name: load(SETTINGS[module], _environ(_services()[name])) for name, module in seen.items()}
    assert {name: getattr(found[name], "lane", "") for name in ("ingest-lake", "ingest-features")} == {
        "ingest-lake": "lake",
        "ingest-features": "features",
    }
    assert {each.kafka_bootstrap for each in found.values()} == {"kafka-1:9092,kafka-2:9092,kafka-3:9092"}
    assert {each.redis_url for each in found.values()} == {"redis://redis:6379/0"}


PARTS = {"kafka-1", "kafka-2", "kafka-3", "redis", "prepare", "collector", "jaeger", "pod", "cli"} | set(PROCESSES)


def test_every_part_is_there_and_no_other() -> None:
    assert set(_services()) == PARTS


KEPT_BY_KAFKA = {
    "KAFKA_DEFAULT_REPLICATION_FACTOR": 3,
    "KAFKA_MIN_INSYNC_REPLICAS": 2,
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": 3,
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": 3,
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": 2,
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": 3,
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": 2,
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
}


def test_kafka_is_the_one_that_is_tested_three_times_over() -> None:
    nodes = {name: s for name, s in _services().items() if name.startswith("kafka-")}
    assert {s["image"] for s in nodes.values()} == {f"${{KAFKA_IMAGE:-apache/kafka:{KAFKA_VERSION}}}"}
    voters = ",".join(f"{n}@kafka-{n}:9093" for n in (1, 2, 3))
    for n in (1, 2, 3):
        node = nodes[f"kafka-{n}"]
        own = {"KAFKA_NODE_ID": n, "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://kafka-{n}:9092"}
        expected = {**KEPT_BY_KAFKA, **own, "KAFKA_CONTROLLER_QUORUM_VOTERS": voters}
        assert {key: node["environment"].get(key) for key in expected} == expected
        assert node["volumes"] == [f"kafka-{n}:/var/lib/kafka/data"]


def test_redis_keeps_what_it_is_given() -> None:
    redis = _services()["redis"]
    program, *words = redis["command"]
    given = dict(zip(words[::2], words[1::2], strict=True))
    assert (program, given["--appendonly"], given["--appendfsync"]) == ("redis-server", "yes", "everysec")
    assert given["--maxmemory-policy"] == "noeviction"
    assert redis["volumes"] == ["redis:/data"]


def test_what_is_kept_has_a_volume() -> None:
    assert set(yaml.safe_load(FILE.read_text())["volumes"]) == {"kafka-1", "kafka-2", "kafka-3", "redis", "state"}
    assert all(_services()[name]["volumes"] == ["state:/var/lib/snowmelt"] for name in PROCESSES)


def test_each_process_is_asked_how_it_is_at_its_own_ops_door() -> None:
    for name, path in PROCESSES.items():
        service = _services()[name]
        settings: Any = load(SETTINGS[service["command"][0]], _environ(service))
        port = getattr(settings, "ops", settings.ops_address).rpartition(":")[2]  # a lane's own, where none is set
        assert service["healthcheck"]["test"] == ["CMD", "/app/compose/healthy", f"{port}/{path}"], name
        assert service["restart"] == "unless-stopped"
        assert service["init"] is True, name
    asked = {name: service["healthcheck"]["test"] for name, service in _services().items() if "healthcheck" in service}
    assert set(asked) == {*PROCESSES, "redis", "kafka-1", "kafka-2", "kafka-3"}
    assert asked["redis"] == ["CMD", "redis-cli", "ping"]
    assert all("/dev/tcp/127.0.0.1/9092" in asked[f"kafka-{n}"][-1] for n in (1, 2, 3))


def test_nothing_starts_before_what_it_needs() -> None:
    services = _services()
    stores = {name: {"condition": "service_healthy"} for name in ("kafka-1", "kafka-2", "kafka-3", "redis")}
    assert services["prepare"]["depends_on"] == stores
    assert services["pod"]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
    in_the_pod = {name for name, service in services.items() if service.get("network_mode") == "service:pod"}
    assert in_the_pod == {*PROCESSES, "cli"}
    assert all(services[name]["depends_on"] == ["pod"] for name in in_the_pod)


def test_spans_go_from_every_process_by_the_collector_to_jaeger() -> None:
    services, told = _services(), yaml.safe_load((ROOT / "compose/collector.yaml").read_text())
    assert {services[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] for name in PROCESSES} == {
        "http://collector:4317"
    }
    assert services["collector"]["volumes"] == ["./compose/collector.yaml:/etc/otelcol/config.yaml:ro"]
    assert services["collector"]["command"] == ["--config=/etc/otelcol/config.yaml"]
    assert told["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == "0.0.0.0:4317"
    (pipeline,) = told["service"]["pipelines"].values()
    assert pipeline["receivers"] == ["otlp"]
    assert [told["exporters"][name]["endpoint"] for name in pipeline["exporters"]] == ["jaeger:4317"]


def test_only_the_gateways_public_doors_and_jaeger_leave_the_network() -> None:
    published = {name: service["ports"] for name, service in _services().items() if "ports" in service}
    assert published == {"pod": ["127.0.0.1:7050:7050", "127.0.0.1:7080:7080"], "jaeger": ["127.0.0.1:16686:16686"]}


def test_status_can_ask_every_part_where_it_listens() -> None:
    services = _services()
    told = dict(part.split("=") for part in Settings().lanes_ops.split(","))
    told["trainer"] = TrainerSettings().ops_address
    assert told["trainer"] == TRAINER
    for name, service in services.items():
        if (service.get("command") or [""])[0] in SETTINGS:
            assert service["network_mode"] == services["cli"]["network_mode"] == "service:pod", name
            lane = service["environment"].get("SNOWMELT_INGEST_LANE", name)
            if address := told.pop(lane, ""):
                assert service["healthcheck"]["test"][-1] == f"{address.split(':')[1]}/readyz"
    assert not told


def test_the_command_line_speaks_tls_to_the_gateway_by_the_certificate_that_it_serves() -> None:
    services, key = _services(), "SNOWMELT_GATEWAY_TLS_CERT_PATH"
    assert services["cli"]["environment"][key] == services["gateway"]["environment"][key]
    assert services["cli"]["volumes"] == services["gateway"]["volumes"] == services["prepare"]["volumes"]


@pytest.mark.parametrize("script", ["prepare", "healthy"])
def test_scripts_can_be_run(script: str) -> None:
    path: Path = ROOT / "compose" / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
