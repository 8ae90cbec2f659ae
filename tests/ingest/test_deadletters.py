"""``snowmelt deadletters`` on a real Kafka: what was refused is listed, shown, and sent again once it is no fault."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from snowmelt.chaos.rig import Rig, until
from snowmelt.cli import deadletters
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import DEAD_LETTERS, EVENTS
from snowmelt.features.defaults import default_views
from snowmelt.features.views import CompiledViews
from snowmelt.runtime.kafka.consumer import Consumer
from snowmelt.runtime.kafka.producer import Producer
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import NOW, event

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_a_letter_is_sent_again_when_its_type_was_declared(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    producer = Producer(rig.bootstrap)
    key = record_key("default", "ann")
    for value in (event(1), event(2, type="shared"), b"\xff", event(3, type="shared"), None):
        producer.post(EVENTS, key, value, NOW)
    producer.close()
    rig.start("lake", flush_seconds=0.1)
    until(lambda: rig.drained("lake"), 60, "the lake did not take the records")

    deadletters.list_letters(reason="unknown_event_type", as_json=True)
    listed = said(capsys)
    assert listed["total"] == 2
    deadletters.list_letters(as_json=True)
    assert said(capsys)["total"] == 4
    deadletters.list_letters(limit=1)
    assert "4 dead letters, the newest 1 shown" in capsys.readouterr().out
    letters = listed["letters"]
    assert isinstance(letters, list)
    deadletters.show(letters[0]["letter"], as_json=True)
    shown = said(capsys)
    assert (shown["reason"], shown["payload"]) == ("unknown_event_type", event(2, type="shared").hex())

    types = (*EVENT_TYPES, "shared")
    views = {name: replace(view, event_types=types) for name, view in default_views().views.items()}
    CompiledViews(types, views).dump(rig.folder / "views.json")
    name = letters[0]["letter"]
    deadletters.replay(letter=name, as_json=True)
    assert said(capsys) == {"replayed": 1, "without_payload": 0, "before": 0}
    until(lambda: rig.drained("lake"), 60, "the lake did not take the record again")
    with pytest.raises(SnowmeltError, match="--again sends it once more"):
        deadletters.replay(letter=name)
    deadletters.replay(reason="unknown_event_type")
    assert "1 sent again\n1 were sent again before" in capsys.readouterr().out
    deadletters.replay(letter=name, again=True, as_json=True)
    assert said(capsys)["replayed"] == 1
    deadletters.replay(reason="tombstone")
    assert "0 sent again\n1 have no bytes kept and cannot be" in capsys.readouterr().out
    until(lambda: rig.drained("lake"), 60, "the lake did not take the records again")
    landed = rig.lake.read("events", ["event_id", "type"]).to_pylist()
    assert sorted((row["event_id"], row["type"]) for row in landed) == [
        ("e1", "click"),
        ("e2", "shared"),
        ("e3", "shared"),
    ]

    deadletters.show(name, as_json=True)
    replays = said(capsys)["replays"]
    assert isinstance(replays, list)
    assert len(replays) == 2
    sent = headers_at(rig, replays[0]["letter"])
    assert sent == [("snowmelt-replay-of", name.encode())]
    deadletters.list_letters()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line[0] for line in lines[:4]].count("+") == 2
    assert lines[-1] == "  2 were sent again"


def test_a_letter_is_mended_and_its_bytes_are_written_out(
    rig: Rig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    producer = Producer(rig.bootstrap)
    for key, value in ((b"default/bob", event(1)), (b"default/ann", b"\xff" * 300), (None, event(2))):
        producer.post(EVENTS, key, value, NOW)
    producer.close()
    rig.start("lake", flush_seconds=0.1)
    until(lambda: rig.drained("lake"), 60, "the lake did not take the records")
    deadletters.list_letters(as_json=True)
    listed = said(capsys)["letters"]
    assert isinstance(listed, list)
    names = {(each["reason"], each["key"]): each["letter"] for each in listed}
    mended, raw = tmp_path / "mended", tmp_path / "raw"
    mended.write_bytes(event(3))
    broken = names["undecodable", b"default/ann".hex()]
    deadletters.show(broken, raw=raw)
    assert raw.read_bytes() == b"\xff" * 300
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "… 44 more bytes: --raw FILE writes all"
    assert max(map(len, lines)) <= 80
    deadletters.replay(broken, value=mended)
    deadletters.replay(names["key_mismatch", b"default/bob".hex()], key="default/ann")
    deadletters.replay(names["key_mismatch", None], key="default/ann")
    until(lambda: rig.drained("lake"), 60, "the lake did not take the records again")
    assert sorted(rig.lake.read("events", ["event_id"])["event_id"].to_pylist()) == ["e1", "e2", "e3"]
    with pytest.raises(SnowmeltError, match="mend one dead letter"):
        deadletters.replay(topic=EVENTS, key="default/ann")


def test_letters_come_into_their_topic_too(rig: Rig) -> None:
    producer = Producer(rig.bootstrap)
    for value in (b"\xff", event(1), None):
        producer.post(EVENTS, record_key("default", "ann"), value, NOW)
    producer.close()
    rig.start("lake", flush_seconds=0.1)
    until(lambda: rig.drained("lake"), 60, "the lake did not take the records")
    consumer, found = Consumer(rig.bootstrap, "copies"), {}
    consumer.assign(dict.fromkeys(rig.admin.watermarks([DEAD_LETTERS]), 0))

    def came() -> bool:
        for records in consumer.poll(10, 0.2).records:
            found.update(zip(records.keys, zip(records.values, records.headers, strict=True), strict=True))
        return len(found) == 2

    until(came, 30, "the copies did not come")
    consumer.close()
    rows = rig.lake.read("dead_letters").to_pylist()
    assert {f"{r['topic']}/{r['partition']}/{r['offset']}".encode(): r["payload"] for r in rows} == {
        key: value for key, (value, _) in found.items()
    }
    assert {dict(headers)["reason"] for _, headers in found.values()} == {b"undecodable", b"tombstone"}


def headers_at(rig: Rig, name: str) -> list[tuple[str, bytes]] | None:
    topic, partition, offset = name.split("/")
    consumer = Consumer(rig.bootstrap, "looking")
    consumer.assign({(topic, int(partition)): int(offset)})
    found = []
    until(lambda: bool(found.extend(consumer.poll(1, 0.2).records) or found), 30, "the record is not there")
    consumer.close()
    headers: list[tuple[str, bytes]] | None = found[0].headers[0]
    return headers


def test_what_does_not_exist_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWMELT_STATE_DIR", str(tmp_path))
    for letter, reason in (("", ""), ("a", "tombstone")):
        with pytest.raises(SnowmeltError) as raised:
            deadletters.replay(letter=letter, reason=reason)
        assert raised.value.reason is Reason.INVALID_FIELD
