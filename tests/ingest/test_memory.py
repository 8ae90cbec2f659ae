"""What is read ahead gives way to the duplicate windows; where these alone are too much, that is said, once."""

import pytest

from services.ingest.memory import BASE_MBYTES, COPIES, LEAST_BYTES, MIB, buffer_bytes, needed_mbytes
from tests.ingest.pipeline import Pipeline


def test_more_ids_leave_less_to_read_ahead_and_never_nothing() -> None:
    sizes = [buffer_bytes(512, ids) for ids in (0, 1_000_000, 4_000_000, 16_000_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[1] > LEAST_BYTES, sizes[-1]) == (True, LEAST_BYTES)
    assert buffer_bytes(1024, 0) - buffer_bytes(512, 0) == 512 * MIB // COPIES


def test_what_a_lane_needs_is_its_base_the_least_that_it_reads_ahead_and_the_windows() -> None:
    assert needed_mbytes(0) == BASE_MBYTES + 32
    assert needed_mbytes(MIB) == BASE_MBYTES + 32 + 28


def test_windows_beyond_the_bound_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    intake = Pipeline().intake
    intake._bound(512, 1_000_000)
    assert not caplog.records
    for _ in range(3):
        intake._bound(512, 16_000_000)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "SNOWMELT_INGEST_MEMORY_MBYTES=512" in caplog.text
    intake._bound(1024, 16_000_000)
    intake._bound(512, 16_000_000)
    assert len(caplog.records) == 2
