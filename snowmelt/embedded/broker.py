"""The embedded broker: librdkafka's mock cluster in a process of its own.

It speaks the real protocol and needs no download, but keeps 5 MiB a partition without a word about what it dropped,
and nothing across a restart: a topic's incarnation therefore is the process's own. Nothing about delivery is claimed
on it.
"""

import argparse
import ctypes
import importlib.util
import json
import signal
import sys
import uuid
from pathlib import Path

from snowmelt.contracts import topics

PARTITIONS = 64
"""As many as keep a data set of a million events under 5 MiB each."""

_PRODUCER = 0


def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        raise RuntimeError("confluent-kafka is not installed")
    package = Path(spec.origin).parent
    places = [*package.parent.glob("confluent_kafka.libs/librdkafka*"), *package.glob(".dylibs/librdkafka*")]
    if not places:
        raise RuntimeError("the confluent-kafka wheel carries no librdkafka; install the wheel, not the source")
    library = ctypes.CDLL(str(places[0]))
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_topic_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.rd_kafka_conf_set.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
    ]
    return library


def start(partitions: int = PARTITIONS) -> str:
    """Starts the cluster in this process, with all topics, until the process ends; returns its bootstrap address."""
    library = _library()
    error = ctypes.create_string_buffer(512)
    conf = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(conf, b"log_level", b"3", error, len(error))
    handle = library.rd_kafka_new(_PRODUCER, conf, error, len(error))
    if not handle:
        raise RuntimeError(f"librdkafka: {error.value.decode()}")
    cluster = library.rd_kafka_mock_cluster_new(handle, 1)
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    for topic in (*topics.LAKE_TOPICS, topics.DEAD_LETTERS):
        code = library.rd_kafka_mock_topic_create(cluster, topic.encode(), partitions, 1)
        if code:
            raise RuntimeError(f"librdkafka refused topic {topic}: error {code}")
    return str(library.rd_kafka_mock_cluster_bootstraps(cluster).decode())


def main() -> None:
    """Prints one line of JSON, bootstrap and incarnation, and lives until it is told to stop."""
    parser = argparse.ArgumentParser(prog="snowmelt.embedded.broker", description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, default=PARTITIONS)
    options = parser.parse_args()
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    line = {"bootstrap": start(options.partitions), "incarnation": uuid.uuid4().hex}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    signal.sigwait(stop)


if __name__ == "__main__":
    main()
