"""The rival's side of ``bench ingest``: Quix Streams counts events by key over a window, into Redis.

Run as a program with Quix Streams on its path, and no other part of this project than the generated messages.
"""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from snowmelt.api.events.v1 import events_pb2

WINDOW = timedelta(hours=1)
IDLE_S = 60.0


class Seen:
    """How many events came, and the seconds and CPU seconds of this process at the first."""

    def __init__(self) -> None:
        self.events = 0
        self.at = self.cpu_s = 0.0

    def __call__(self, _: Any) -> None:
        """Sees an event."""
        if not self.events:
            self.at, self.cpu_s = time.perf_counter(), time.process_time()
        self.events += 1


def main(bootstrap: str, topic: str, events: int, redis_port: int, folder: Path) -> dict[str, float]:
    """Counts ``events`` of a topic in a tumbling window, each new count into Redis, with the library's own defaults.

    State lies in RocksDB under ``folder`` and in a changelog topic; the sink writes at checkpoints, 5 s apart.
    """
    from quixstreams import Application
    from quixstreams.models.serializers.protobuf import ProtobufDeserializer
    from quixstreams.sinks.community.redis import RedisSink

    app = Application(
        broker_address=bootstrap,
        consumer_group="quix-bench",
        auto_offset_reset="earliest",
        state_dir=str(folder / "quix-state"),
        loglevel="WARNING",
    )
    value = ProtobufDeserializer(msg_type=events_pb2.Event, to_dict=False)
    frame = app.dataframe(app.topic(topic, key_deserializer="bytes", value_deserializer=value))
    seen = Seen()
    frame = frame.update(seen)
    counted = frame.tumbling_window(WINDOW).count().current()
    counted.sink(RedisSink(host="127.0.0.1", port=redis_port, db=3, key_serializer=_key))
    app.run(count=events, timeout=IDLE_S, collect=False)
    ended = time.perf_counter(), time.process_time()
    return {"events": seen.events, "seconds": ended[0] - seen.at, "cpu_s": ended[1] - seen.cpu_s}


def _key(key: bytes, value: dict[str, int]) -> bytes:
    return b"%s/%d" % (key, value["start"])


if __name__ == "__main__":
    address, name, count, port, place = sys.argv[1:]
    sys.stdout.write(json.dumps(main(address, name, int(count), int(port), Path(place))) + "\n")
