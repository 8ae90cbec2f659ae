"""Releases are exchanged under load: no request fails, and no answer mixes two of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from snowmelt.api.gateway.v1.gateway_pb2 import RecommendResponse
from snowmelt.client import AdminClient, token_of
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.trees import Trees
from snowmelt.releases import ReleaseStore
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.retrieval.tables import RetrievalTables
from snowmelt.runtime.auth import Role
from tests.e2e.conftest import System, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PATIENT_MS = 5000
"""A budget that a busy machine keeps: this is about answers, not about their speed."""
CLIENTS, SWAPS = 4, 6
APART = 1000.0


def marked(store: ReleaseStore) -> str:
    """Publishes the active release once more, with both halves marked: greater scores, and nearer neighbours."""
    first = store.active().release_id
    assert first

    def build(folder: Path) -> None:
        tables = RetrievalTables.load(store.path(first) / RETRIEVAL)
        nearer = replace(tables.neighbours, weights=tables.neighbours.weights * APART)
        replace(tables, neighbours=nearer).save(folder / RETRIEVAL)
        artefact = RankerArtefact.load(store.path(first) / RANKER)
        trees = _raised((store.path(first) / RANKER / "model.txt").read_text())
        replace(artefact, trees=trees).save(folder / RANKER)

    return store.publish(build, store.verify(first).origin)


def _raised(model: str) -> Trees:
    """The same trees, each score greater by ``APART``."""
    lines = [line for line in model.split("\n") if not line.startswith("tree_sizes=")]
    place = next(n for n, line in enumerate(lines) if line.startswith("leaf_value="))
    leaves = [float(leaf) + APART for leaf in lines[place].partition("=")[2].split(" ")]
    lines[place] = "leaf_value=" + " ".join(map(str, leaves))
    return Trees("\n".join(lines))


def marks(answer: RecommendResponse) -> tuple[float, float]:
    """The least score of the ranker, and the greatest of retrieval's item to item."""
    near = [hit.score for item in answer.items for hit in item.sources if hit.source == "item_to_item"]
    return min(item.score for item in answer.items), max(near)


@contextmanager
def asked_for_ever(system: System, user: str, answers: list[RecommendResponse]) -> Iterator[None]:
    """Clients that ask one after another, for the time of the block; the first failure is raised at its end."""
    done, failures = threading.Event(), []

    def ask() -> None:
        with system.client() as client:
            while not done.is_set():
                try:
                    answers.append(client.recommend(user, k=100, timeout_ms=PATIENT_MS))
                except BaseException as failure:  # noqa: BLE001 - the test's own thread raises it
                    failures.append(failure)
                    return

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def test_releases_are_exchanged_under_load(system: System, shop: Path) -> None:
    environ = system.environ
    store = ReleaseStore(environ["SNOWMELT_RELEASES_URL"])
    first, user = store.active().release_id, pq.read_table(shop / "events.parquet")["user_id"][0].as_py()
    with system.client() as client:
        score, near = marks(client.recommend(user, k=100, timeout_ms=PATIENT_MS))
    assert score < APART / 2
    second = marked(store)
    answers: list[RecommendResponse] = []
    token = token_of(environ["SNOWMELT_TOKENS_PATH"], Role.ADMIN)
    with (
        AdminClient(environ["SNOWMELT_GATEWAY_ADMIN_GRPC_ADDRESS"], token=token) as admin,
        asked_for_ever(system, user, answers),
    ):
        admin.activate(second)
        for turn in range(SWAPS):
            wanted = (second, first)[turn % 2]
            seen = len(answers)
            eventually(
                lambda wanted=wanted, seen=seen: wanted in {answer.release_id for answer in answers[seen:]},
                60.0,
                f"{wanted} does not answer",
            )
            if turn < SWAPS - 1:
                admin.rollback()
    assert store.active().release_id == first
    assert {answer.release_id for answer in answers} == {first, second}
    for answer in answers:
        assert (list(answer.degraded), answer.rung, len(answer.items)) == ([], "full", 100)
        least, greatest = marks(answer)
        ranked_by, retrieved_from = least > APART / 2, greatest > near * APART**0.5
        assert (ranked_by, retrieved_from) == (answer.release_id == second,) * 2
