"""A load keeps to the pace of the lanes, by records and by bytes, and refuses what they could not use."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import CATALOG
from snowmelt.datasets import data_set
from snowmelt.datasets.data_set import DataSet, from_tables, silent
from snowmelt.datasets.load import Loaded, load
from snowmelt.embedded.sending import Throttle, refuse_unfit
from snowmelt.features.defaults import default_views
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.consumer import Consumer
from snowmelt.runtime.kafka.producer import Producer
from snowmelt.training.errors import BadDataError
from tests.fixtures.embedded_broker import embedded_broker

MAY_2024_MS = 1_714_557_600_000
ITEMS, TEXT_BYTES, ATTRIBUTES, ATTRIBUTE_BYTES = 320, 16_384, 32, 512
READ_AT_ONCE = 10
PLACE = (CATALOG, 0)


@pytest.fixture
def bootstrap() -> Iterator[str]:
    with embedded_broker(1) as said:
        yield said["bootstrap"]


def shop(items: int, kind: str = "view") -> DataSet:
    """Items with large texts, and one event."""
    words = {f"a{n}": "y" * ATTRIBUTE_BYTES for n in range(ATTRIBUTES)}
    catalogue = {
        "item_id": [f"i{n}" for n in range(items)],
        "title": [""] * items,
        "text": ["x" * TEXT_BYTES] * items,
        "categories": [[]] * items,
        "price": [None] * items,
        "available_from_ms": [None] * items,
        "attributes": data_set.attributes([words] * items),
        "event_time_ms": [MAY_2024_MS] * items,
    }
    texts = {"event_id": "e", "user_id": "u", "session_id": "", "item_id": "i0", "type": kind}
    events = {name: [value] for name, value in texts.items()}
    events |= {"value": [None], "event_time_ms": [MAY_2024_MS], "categories": [[]], "price": [None]}
    tables = (
        data_set.table(data_set.CATALOGUE, catalogue),
        data_set.USERS.empty_table(),
        data_set.table(data_set.EVENTS, events),
    )
    return from_tables("shop", "", "", tables, first_rows={kind: "events.csv: row 1"})


class SlowReader:
    """Reads a little of the catalogue each time it is asked how much waits for it."""

    def __init__(self, bootstrap: str) -> None:
        self.read: list[bytes | None] = []
        self._admin = Admin(bootstrap)
        self._consumer = Consumer(bootstrap, "slow-reader")
        self._consumer.assign({PLACE: 0})
        self._next = 0

    def waiting(self) -> dict[tuple[str, int], int]:
        kept = self._admin.watermarks((CATALOG,))[PLACE]
        assert kept.low <= self._next, "the broker has dropped what was not read"
        for records in self._consumer.poll(READ_AT_ONCE, 0.01).records:
            self._next = records.offsets[-1] + 1
            self.read.extend(records.keys)
        return {PLACE: kept.high - self._next}

    def close(self) -> None:
        self._consumer.close()


class NothingLanded:
    def ids(self, table: str, column: str) -> pa.Array:
        return pa.array([], pa.string())


def until(holds: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, otherwise


def test_a_catalogue_of_large_texts_passes_the_embedded_broker_whole(bootstrap: str) -> None:
    data, reader, producer = shop(ITEMS), SlowReader(bootstrap), Producer(bootstrap, "loader")
    assert ITEMS * (TEXT_BYTES + ATTRIBUTES * ATTRIBUTE_BYTES) > 1.5 * 5 * 2**20, "more than the broker keeps"
    try:
        throttle = Throttle(reader.waiting, until)
        clock = Clock.ending_at(data.end_ms)
        load(data, producer, tenant="t", clock=clock, landed=NothingLanded(), pace=throttle, progress=silent)
        until(lambda: not any(reader.waiting().values()), 30.0, "the rest did not come")
    finally:
        producer.close()
        reader.close()
    assert sorted(filter(None, reader.read)) == sorted(record_key("t", f"i{n}") for n in range(ITEMS))


def settings_at(now_ms: int, folder: Path) -> Settings:
    default_views().dump(folder / "views.json")
    return Settings(state_dir=folder, clock_offset_ms=Clock.ending_at(now_ms).offset_ms)


def test_a_type_that_the_views_do_not_declare_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    settings = settings_at(MAY_2024_MS + 1000, tmp_path)
    refuse_unfit(shop(1), settings)
    with pytest.raises(BadDataError, match=r"events.csv: row 1: type is 'watch', expected a type that feature_repo"):
        refuse_unfit(shop(1, kind="watch"), settings)


def test_a_data_set_that_ends_after_the_systems_clock_is_refused(tmp_path: Path) -> None:
    settings = settings_at(MAY_2024_MS - 3_600_000, tmp_path)
    with pytest.raises(BadDataError, match=r"it ends at 2024-05-01T10:00:01.*, but here it is 2024-05-01T09:00:0"):
        refuse_unfit(shop(1), settings)


def test_what_a_load_came_to_is_said_with_its_dead_letters() -> None:
    assert Loaded({"events": 3, "users": 1}, {"events": 0}).lines() == ["sent 4 records"]
    assert Loaded({"events": 1_000}, {"events": 2}, dead_lettered=7).lines() == [
        "sent 1,000 records; the lake held 2 already",
        "7 became dead letters; `snowmelt deadletters list` says which and why",
    ]
