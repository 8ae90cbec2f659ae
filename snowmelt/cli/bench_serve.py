"""``snowmelt bench serve``: recommendations of the running system beside the sum of their kernels, in one run."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from snowmelt.cli.bench_floors import Check, Floor, Verdict, end, lines

Kernel = Callable[[str], float]
"""Runs for a user, and says how many milliseconds it took."""

K = 20
WARM_UP = 30
P50_RATIO = Floor("p50 at 1 client, beside the kernels' sum", 2.5, "times", at_least=False)
P99 = Floor("p99 at 1 client", 40.0, "ms", at_least=False)


def bench_serve(
    requests: Annotated[int, typer.Option(help="measured requests a run", min=20)] = 400,
    target: Annotated[str, typer.Option(help="the gateway's gRPC address; default: the one that runs here")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
    check: Check = False,
) -> None:
    """p50 and p99 of whole answers at 1 and 16 clients; floor: p50 at most 2.5 times the kernels' sum, p99 40 ms.

    Both are of one client, and count only where each of its answers is whole: one that failed has no time, and one that
    is degraded has left work out.
    Each kernel is repeated without a pause, so that it finds everything in the processor's caches. ``in_turn`` has them
    once between two answers, where they find what an answer finds.
    """
    _expect_answers(target)
    users = _users(200)
    with _kernels() as kernels:
        repeated = {name: float(np.median([run(user) for user in users])) for name, run in kernels.items()}
        one = _run(1, requests, users, target)
        in_turn = _in_turn(requests, users, target, kernels)
    runs = [one, _run(16, requests, users, target)]
    total = sum(repeated.values())
    report = {
        "k": K,
        "candidates": _candidates(),
        "kernels_ms": repeated,
        "kernels_sum_ms": total,
        "runs": runs,
        "p50_ratio": one["p50_ms"] / total,
        "in_turn": in_turn,
        "floors": floors(one, total),
    }
    print(json.dumps(report, allow_nan=False) if as_json else _lines(report))
    end(report["floors"], check=check)


def floors(one: Mapping[str, Any], kernels_sum_ms: float) -> list[Verdict]:
    """The verdicts of the run at one client; ``_run`` says what it holds."""
    spoilt = [f"{one[what]} of {one['requests']} answers {what}" for what in ("failed", "degraded") if one[what]]
    return [
        P50_RATIO.judge(one["p50_ms"] / kernels_sum_ms, ", ".join(spoilt)),
        P99.judge(one["p99_ms"], ", ".join(spoilt)),
    ]


def _expect_answers(target: str) -> None:
    """Asks once, so that who has no system running is told at once.

    Raises:
        SnowmeltError: UNAVAILABLE, with what to do; what the gateway says otherwise.
    """
    from snowmelt.cli.gateway import connect
    from snowmelt.contracts.errors import Reason, SnowmeltError
    from snowmelt.runtime.config import ConfigError, Settings

    Settings.load()
    try:
        with connect(target) as client:
            client.recommend(session_id="bench", k=1, surface="bench")
    except (ConfigError, SnowmeltError) as wrong:
        if isinstance(wrong, SnowmeltError) and wrong.reason is not Reason.UNAVAILABLE:
            raise
        why = getattr(wrong, "detail", wrong)
        detail = f"bench serve measures a running system: `make up` in another terminal first ({why})"
        raise SnowmeltError(Reason.UNAVAILABLE, detail) from None


def _run(clients: int, requests: int, users: Sequence[str], target: str) -> dict[str, Any]:
    from snowmelt.cli.gateway import connect
    from snowmelt.contracts.errors import Reason, SnowmeltError

    times: list[float] = []
    stages: dict[str, list[float]] = {}
    degraded: list[bool] = []

    def ask(share: range, *, count: bool) -> None:
        with connect(target) as client:
            for number in share:
                started = time.perf_counter()
                try:
                    answer = client.recommend(users[number % len(users)], k=K, surface="bench")
                except SnowmeltError:
                    continue
                if count:
                    times.append((time.perf_counter() - started) * 1000)
                    degraded.append(bool(answer.degraded))
                    for stage in answer.stages:
                        stages.setdefault(stage.name, []).append(stage.duration_ms)

    ask(range(WARM_UP), count=False)
    workers = [
        threading.Thread(target=ask, args=(range(first, requests, clients),), kwargs={"count": True})
        for first in range(clients)
    ]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - began
    if not times:
        raise SnowmeltError(Reason.UNAVAILABLE, "the gateway answered none of the requests; see snowmelt status")
    return {
        "clients": clients,
        "requests": requests,
        "failed": requests - len(times),  # of a client that ended early, too
        "degraded": sum(degraded),
        "p50_ms": float(np.percentile(times, 50)),
        "p99_ms": float(np.percentile(times, 99)),
        "per_second": len(times) / seconds,
        "stages_p50_ms": {name: float(np.median(values)) for name, values in sorted(stages.items())},
    }


def _in_turn(requests: int, users: Sequence[str], target: str, kernels: Mapping[str, Kernel]) -> dict[str, Any]:
    """One client, whose answers alternate with the kernels; p50_ms and p50_ratio are None where none came."""
    from snowmelt.cli.gateway import connect
    from snowmelt.contracts.errors import SnowmeltError

    answers: list[float] = []
    outcome = {"failed": 0, "degraded": 0}
    times: dict[str, list[float]] = {name: [] for name in kernels}
    with connect(target) as client:
        for number in range(requests):
            user = users[number % len(users)]
            started = time.perf_counter()
            try:
                answer = client.recommend(user, k=K, surface="bench")
            except SnowmeltError:
                outcome["failed"] += 1
            else:
                answers.append((time.perf_counter() - started) * 1000)
                outcome["degraded"] += bool(answer.degraded)
            for name, run in kernels.items():
                times[name].append(run(user))
    medians = {name: float(np.median(found)) for name, found in times.items()}
    total = sum(medians.values())
    p50_ms = float(np.median(answers)) if answers else None
    ratio = None if p50_ms is None else p50_ms / total
    return {**outcome, "p50_ms": p50_ms, "kernels_ms": medians, "kernels_sum_ms": total, "p50_ratio": ratio}


@contextmanager
def _kernels() -> Iterator[dict[str, Kernel]]:
    """What an answer cannot do without: one search, one prediction, one read."""
    import asyncio

    from snowmelt.contracts.ids import DEFAULT_TENANT
    from snowmelt.featurestore.live_views import LiveViews
    from snowmelt.featurestore.user_states import AsyncUserStates
    from snowmelt.ranking.artefact import RankerArtefact
    from snowmelt.releases.layout import RANKER, RETRIEVAL
    from snowmelt.retrieval.index import use_threads
    from snowmelt.retrieval.tables import RetrievalTables
    from snowmelt.runtime.config import Settings

    settings, candidates = Settings.load(), _candidates()
    folder = _active_folder()
    tables, artefact = RetrievalTables.load(folder / RETRIEVAL), RankerArtefact.load(folder / RANKER)
    use_threads(1)
    query = np.ascontiguousarray(tables.item_vectors[:1], np.float32)
    rows = np.resize(artefact.golden, (candidates, len(artefact.features)))
    states = AsyncUserStates(settings.redis_url, LiveViews.load(settings.views_path))

    async def read_ms(user: str) -> float:
        started = time.perf_counter()
        await states.read(DEFAULT_TENANT, user)
        return (time.perf_counter() - started) * 1000

    with asyncio.Runner() as runner:
        kernels: dict[str, Kernel] = {
            "faiss_search": lambda _: _elapsed_ms(
                lambda: tables.item_index.search(query, min(candidates, len(tables)))
            ),
            "lightgbm_predict": lambda _: _elapsed_ms(lambda: artefact.trees.by_lightgbm(rows)),
            "redis_read": lambda user: runner.run(read_ms(user)),
        }
        for run in kernels.values():
            run("")
        try:
            yield kernels
        finally:
            runner.run(states.close())


def _elapsed_ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _active_folder() -> Path:
    from snowmelt.contracts.errors import Reason, SnowmeltError
    from snowmelt.releases import ReleaseStore
    from snowmelt.runtime.config import Settings

    store = ReleaseStore(Settings.load().releases_url)
    release_id = store.active().release_id
    if release_id is None:
        raise SnowmeltError(Reason.NO_RELEASE, "there is no release to measure: snowmelt train")
    store.verify(release_id)
    return store.path(release_id)


def _candidates() -> int:
    return int(os.environ.get("SNOWMELT_GATEWAY_CANDIDATES", "500"))


def _users(count: int) -> list[str]:
    """Users who did something, spread over the lake's events."""
    from snowmelt.contracts.errors import Reason, SnowmeltError
    from snowmelt.embedded.visitors import visitors
    from snowmelt.lake import Lake
    from snowmelt.runtime.config import Settings

    users = [each.user_id for each in visitors(Lake(Settings.load().lake_url), count) if each.user_id]
    if not users:
        raise SnowmeltError(Reason.NOT_FOUND, "the lake holds no user's events: snowmelt load")
    return users


def _lines(report: dict[str, Any]) -> str:
    kernels = ", ".join(f"{name} {ms:.2f}" for name, ms in report["kernels_ms"].items())
    said = [f"kernels, ms: {kernels}; sum {report['kernels_sum_ms']:.2f}"]
    for run in report["runs"]:
        said.append(
            f"{run['clients']:>2} clients: p50 {run['p50_ms']:.2f} ms, p99 {run['p99_ms']:.2f} ms, "
            f"{run['per_second']:.0f} a second, {run['failed']} failed, {run['degraded']} degraded"
        )
        said += [f"     {name:<34} {ms:8.3f} ms" for name, ms in run["stages_p50_ms"].items()]
    return "\n".join([*said, _in_turn_line(report["in_turn"]), *lines(report["floors"])])


def _in_turn_line(in_turn: Mapping[str, Any]) -> str:
    figures = (
        "no answer came"
        if in_turn["p50_ms"] is None
        else (f"p50 {in_turn['p50_ms']:.2f} ms, {in_turn['p50_ratio']:.2f} times their sum")
    )
    return (
        f"in turn with the kernels (sum {in_turn['kernels_sum_ms']:.2f} ms): {figures}, "
        f"{in_turn['failed']} failed, {in_turn['degraded']} degraded"
    )
