"""The topics as a lane finds them at its start: those that are missing are made, a wrong one is refused."""

import functools
import logging
from collections.abc import Sequence

from services.ingest.config import IngestSettings
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.topic_rules import Rules, create_missing, require

_LOG = logging.getLogger(__name__)


def check_topics(settings: IngestSettings, admin: Admin, names: Sequence[str]) -> None:
    """Makes what is missing where the settings allow it, and looks at what is there.

    Raises:
        ConfigError: a topic would break a promise; the message holds the command that mends it.
        SnowmeltError: UNAVAILABLE.
    """
    if settings.create_topics:
        create_missing(admin, names, settings.partitions)
    if settings.embedded and settings.kafka_incarnation:
        _say_unchecked()
        return
    told = "partitions" in settings.model_fields_set
    least = settings.partitions if told else 1
    require(admin, names, Rules(settings.kafka_bootstrap, admin.nodes(), least, settings.clock_offset_ms != 0))


@functools.cache
def _say_unchecked() -> None:
    _LOG.info("the embedded broker keeps no settings of topics: they are not checked, and nothing is promised on it")
