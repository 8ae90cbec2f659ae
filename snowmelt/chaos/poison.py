"""Bad records of every kind among good ones on all topics, and kills meanwhile."""

import hashlib
import random
import signal
import threading
import time
from concurrent.futures import Future

import numpy as np

from snowmelt.chaos.bad_records import MAX_BYTES, SHARES, Sent, bad, good
from snowmelt.chaos.poison_check import Refused, Report, Told, check
from snowmelt.chaos.rig import MODULE, Rig, Say
from snowmelt.contracts.topics import EVENTS, LAKE_TOPICS
from snowmelt.runtime.kafka.producer import Delivery, Producer

POINTS = {
    "lake": ("before_dead", "in_dead", "after_dead", "before_commit", "in_commit", "after_commit"),
    "features": ("before_redis", "in_redis", "after_redis"),
}
BLOCK = 5000
TRICKLE = 5
AGAIN_SHARE = 0.01


class _Sender:
    """Sends the records in their order and keeps what was acknowledged."""

    def __init__(self, bootstrap: str, bad_count: int, total: int, seed: int) -> None:
        self._producer = Producer(bootstrap, linger_ms=5, max_record_bytes=MAX_BYTES)
        self._chance = random.Random(seed)  # noqa: S311 - a drill that can be repeated
        self._bad = np.zeros(total, np.bool_)
        self._bad[self._chance.sample(range(total), bad_count)] = True
        self.sent, self.told = 0, Told()
        self._failures: list[BaseException] = []
        self._lock = threading.Lock()

    def send(self, count: int) -> None:
        """The next records; returns once they are acknowledged."""
        for _ in range(min(count, len(self._bad) - self.sent)):
            topic = self._chance.choices(tuple(SHARES), tuple(SHARES.values()))[0]
            number, again = self.sent, False
            if self._bad[self.sent]:
                record = bad(topic, number, self._chance)
            else:
                if topic == EVENTS and self._chance.random() < AGAIN_SHARE and len(self.told.good[EVENTS]["number"]):
                    number, again = self._chance.choice(self.told.good[EVENTS]["number"]), True
                record = good(topic, number)
            self._submit(record, number, again)
            self.sent += 1
        self._producer.flush(60)
        if self._failures:
            raise self._failures[0]

    def close(self) -> None:
        self._producer.close()

    def _submit(self, record: Sent, number: int, again: bool) -> None:
        def acknowledged(future: Future[Delivery]) -> None:
            if (failure := future.exception()) is not None:
                self._failures.append(failure)
                return
            with self._lock:  # deliveries are served by the producer's thread and by whoever flushes
                note(future.result())

        def note(place: Delivery) -> None:
            if record.reasons:
                self.told.refused[f"{place.topic}/{place.partition}/{place.offset}"] = _refused(record)
            elif again:
                self.told.again[place.topic] += 1
            else:
                columns = self.told.good[place.topic]
                for name, value in (("partition", place.partition), ("offset", place.offset), ("number", number)):
                    columns[name].append(value)

        future = self._producer.submit(record.topic, record.key, record.value, record.time_ms, record.headers)
        future.add_done_callback(acknowledged)


def _refused(record: Sent) -> Refused:
    value = record.value
    sha256 = None if value is None else hashlib.sha256(value).hexdigest()
    return Refused(record.reasons, record.key, sha256, None if value is None else len(value))


def drill(
    rig: Rig,
    bad_count: int,
    records: int,
    kills: int,
    *,
    module: str = MODULE,
    seed: int = 7,
    say: Say = lambda _: None,
) -> Report:
    """Sends records of which some are bad while both lanes are killed, lets them finish, and checks.

    Args:
        rig: with nothing in it yet.
        bad_count: how many of the records are bad.
        records: in all, over the four topics.
        kills: in all, spread over both lanes and their points.
        module: another program in the lake lane's place, to see that the checker sees what it does wrong.
        seed: of the records.
        say: takes a line of progress.
    """
    began = time.monotonic()
    for topic in LAKE_TOPICS:
        rig.admin.set_config(topic, {"max.message.bytes": str(MAX_BYTES)})
    sender = _Sender(rig.bootstrap, bad_count, records, seed)
    report = Report(records, bad_count)
    _kill_while_sending(rig, sender, report, kills, say)
    sender.close()
    say(f"{sender.sent:,} sent, {sum(report.kills.values())} kills; waiting for both lanes")
    rig.finish({"lake": module})
    say("both lanes have taken everything; checking")
    check(rig, sender.told, report)
    report.seconds = time.monotonic() - began
    return report


def _kill_while_sending(rig: Rig, sender: _Sender, report: Report, kills: int, say: Say) -> None:
    """Both lanes are killed again and again, spread over the records; these come no faster than the kills."""
    share, done = report.records // (kills + 1), threading.Event()
    flush_rows = max(50, min(100_000, share // 8))
    failures: list[BaseException] = []

    def kill(lane: str, count: int) -> None:
        try:
            for i in range(count):
                while sender.sent < 2 * share * i and not done.wait(0.1):
                    pass
                point = POINTS[lane][i % len(POINTS[lane])]
                process = rig.start(lane, MODULE, crash_at=f"{point}:{1 + i % 3}", flush_rows=flush_rows)
                code = process.wait(240)
                if code != -signal.SIGKILL:
                    raise RuntimeError(f"{lane} ended with {code} and not at {point}: {rig.log(lane)}")
                report.kills[point] = report.kills.get(point, 0) + 1
                say(f"{sender.sent:,} sent, {sum(report.kills.values())} kills")
        except BaseException as error:  # noqa: BLE001 - raised below, in the calling thread
            failures.append(error)
            done.set()

    threads = [
        threading.Thread(target=kill, args=(lane, kills // 2 + kills % 2 * (lane == "lake")), daemon=True)
        for lane in POINTS
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not done.is_set():
        allowed = share * (sum(report.kills.values()) + 1) - sender.sent
        sender.send(min(BLOCK, allowed) if allowed > 0 else TRICKLE)
        done.wait(0 if allowed > BLOCK else 0.2)
    if failures:
        raise failures[0]
    while sender.sent < report.records:
        sender.send(BLOCK)
