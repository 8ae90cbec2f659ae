"""compose.yaml is what its own tool takes, and gives each process settings that it knows."""

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


def _services() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text())["services"])


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
    seen = []
    for name, service in _services().items():
        module = (service.get("command") or [""])[0]
        if module in SETTINGS:
            environ = {key: str(value) for key, value in service["environment"].items()}
            environ["SNOWMELT_CLOCK_OFFSET_MS"] = "0"  # compose puts the operator's own in its place
            load(SETTINGS[module], environ)
            seen.append((name, module))
    assert {module for _, module in seen} == set(SETTINGS)
    assert [name for name, module in seen if module == "services.ingest"] == ["ingest-lake", "ingest-features"]


def test_kafka_is_the_one_that_is_tested() -> None:
    nodes = {name: s for name, s in _services().items() if name.startswith("kafka-")}
    assert {s["image"] for s in nodes.values()} == {f"${{KAFKA_IMAGE:-apache/kafka:{KAFKA_VERSION}}}"}
    assert sorted(s["environment"]["KAFKA_NODE_ID"] for s in nodes.values()) == [1, 2, 3]


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


@pytest.mark.parametrize("script", ["prepare", "healthy"])
def test_scripts_can_be_run(script: str) -> None:
    path: Path = ROOT / "compose" / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
