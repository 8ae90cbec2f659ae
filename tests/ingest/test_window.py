"""The duplicate window equals its definition, whatever the batches and after any restart."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.window import Window, keys_of
from snowmelt.contracts.ids import DEFAULT_TENANT, item_keys

SIZE = 10


def defined(keys: list[int]) -> list[bool]:
    """A record is kept where its id was not kept at most SIZE offsets before."""
    last: dict[int, int] = {}
    kept = []
    for offset, key in enumerate(keys):
        fresh = key not in last or offset - last[key] > SIZE
        if fresh:
            last[key] = offset
        kept.append(fresh)
    return kept


def arrays(keys: list[int], start: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array(keys, np.uint64), np.arange(start, start + len(keys))


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_batches_do_not_matter(keys: list[int], cuts: list[int]) -> None:
    window, found = Window(SIZE), []
    edges = sorted({0, len(keys), *(cut for cut in cuts if cut < len(keys))})
    for start, end in pairwise(edges):
        found += window.keep(*arrays(keys[start:end], start)).tolist()
    assert found == defined(keys)


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), max_size=60), st.integers(0, 60))
def test_a_write_tried_again_and_a_restart_decide_alike(keys: list[int], at: int) -> None:
    cut = min(at, len(keys))
    window = Window(SIZE)
    first = window.keep(*arrays(keys[:cut], 0))
    assert window.keep(*arrays(keys[:cut], 0)).tolist() == first.tolist() == defined(keys)[:cut]
    restarted = Window(SIZE)
    ids, offsets = arrays(keys[:cut], 0)
    near = first & (offsets >= cut - SIZE)
    restarted.remember(ids[near], offsets[near])
    assert restarted.keep(*arrays(keys[cut:], cut)).tolist() == defined(keys)[cut:]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 12), max_size=60),
    st.lists(st.integers(0, 60), max_size=6),
    st.lists(st.integers(1, 15), min_size=7, max_size=7),
)
def test_a_batch_judged_again_and_again_is_judged_alike(keys: list[int], cuts: list[int], times: list[int]) -> None:
    """While a sink is away its batch is judged at every try."""
    window, found = Window(SIZE), []
    edges = sorted({0, len(keys), *(cut for cut in cuts if cut < len(keys))})
    for (start, end), tries in zip(pairwise(edges), times, strict=False):
        judged = [window.keep(*arrays(keys[start:end], start)).tolist() for _ in range(tries)]
        assert all(one == judged[0] for one in judged)
        found += judged[0]
    assert found == defined(keys)
    assert len(window) <= sum(found)


def test_memory_is_bounded_however_often_a_write_is_tried() -> None:
    window, ids = Window(1000), np.arange(20_000, dtype=np.uint64)
    for _ in range(40):
        window.keep(ids, ids.astype(np.int64))
    assert len(window) == 20_000


def test_memory_is_bounded() -> None:
    window = Window(1000)
    for start in range(0, 50_000, 100):
        window.keep(np.arange(start, start + 100, dtype=np.uint64), np.arange(start, start + 100))
    assert len(window) <= 3 * 1000


@settings(deadline=None)
@given(st.lists(st.text(max_size=40)))
def test_keys_are_those_of_the_ids(ids: list[str]) -> None:
    ids = [each.encode(errors="replace").decode() for each in ids]
    assert keys_of(pa.array(ids, pa.string())).tolist() == item_keys(DEFAULT_TENANT, ids).tolist()
