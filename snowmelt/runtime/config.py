"""Typed settings out of the environment: SNOWMELT_* shared by all, SNOWMELT_<SERVICE>_* of one service."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self, TypeVar

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "SNOWMELT_"
SERVICES = ("GATEWAY", "RETRIEVAL", "RANKER", "INGEST", "TRAINER", "EMBEDDED")

NOT_SETTINGS = ("SNOWMELT_CACHE_DIR", "SNOWMELT_TEST_DATA")
"""Where downloads are kept and where tests find data: read by tools, no setting of a service."""


class ConfigError(Exception):
    """The environment cannot be used as it is; the message names each key and what to do. Exit code 78."""


class Settings(BaseSettings):
    """What every process shares. Each service adds its own class with the prefix of its name.

    Attributes:
        state_dir: the one folder of the embedded mode; the other paths default to places in it.
        kafka_incarnation: stands for the topics' ids where the broker has none (the embedded one).
        clock_offset_ms: wall clock minus the clock of the data that is served.
        lanes_ops: the ops addresses of the ingest processes as `status` and `offsets` ask them, lane=host:port each.
        otlp_endpoint is OpenTelemetry's own OTEL_EXPORTER_OTLP_ENDPOINT and not repeated here.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    state_dir: Path = Path(".snowmelt")
    kafka_bootstrap: str = "127.0.0.1:19092"
    kafka_incarnation: str = ""
    redis_url: str = "redis://127.0.0.1:16379/0"
    lake_url: str = ""
    releases_url: str = ""
    views_path: str = ""
    tokens_path: str = ""
    clock_offset_ms: int = 0
    embedded: bool = False
    lanes_ops: str = "lake=127.0.0.1:7091,features=127.0.0.1:7092"

    @model_validator(mode="before")
    @classmethod
    def _places(cls, values: dict[str, object]) -> dict[str, object]:
        state = Path(str(values.get("state_dir", ".snowmelt")))
        for key, place in (
            ("lake_url", "lake"),
            ("releases_url", "releases"),
            ("views_path", "views.json"),
            ("tokens_path", "tokens.json"),
        ):
            if not values.get(key):
                values[key] = str(state / place)
        return values

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Reads the settings from the environment.

        Raises:
            ConfigError: a key is unknown (with the nearest known one) or a value does not fit.
        """
        return load(cls, os.environ if environ is None else environ)


S = TypeVar("S", bound=Settings)


def load(kind: type[S], environ: Mapping[str, str]) -> S:
    """``Settings.load`` for any class of settings."""
    own = str(kind.model_config.get("env_prefix", PREFIX))
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {own + name.upper() for name in kind.model_fields if name not in Settings.model_fields}
    others = tuple(f"{PREFIX}{name}_" for name in SERVICES if f"{PREFIX}{name}_" != own)
    values: dict[str, str] = {}
    wrong: list[str] = []
    for key, value in environ.items():
        if not key.startswith(PREFIX) or key.startswith(others) or key in NOT_SETTINGS:
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            wrong.append(f"{key} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
        elif own != PREFIX and key.startswith(own):
            values[key.removeprefix(own).lower()] = value
        else:
            values[key.removeprefix(PREFIX).lower()] = value
    if wrong:
        raise ConfigError("\n".join(wrong))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = (f"{_key(own, '.'.join(str(p) for p in e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError("\n".join(lines)) from None


def _key(own: str, name: str) -> str:
    """As it stands in the environment: what all share has no service in its name."""
    return (PREFIX if name.partition(".")[0] in Settings.model_fields else own) + name.upper()
