"""Kill both lanes at named points while events come, and check."""

import signal
import threading
import time

from snowmelt.chaos.check import Report, check
from snowmelt.chaos.rig import MODULE, Rig
from snowmelt.chaos.traffic import Traffic

POINTS = {"lake": ("before_commit", "after_commit"), "features": ("before_redis", "after_redis")}


def drill(rig: Rig, kills: int, events: int, modules: dict[str, str] | None = None, seed: int = 7) -> Report:
    """Kills both lanes at their points while events come, lets them finish, and checks.

    Args:
        rig: with nothing in it yet.
        kills: in all, spread over the four points.
        events: how many records are sent in all.
        modules: other programs in the place of a lane's, to see that the checker sees what they do wrong.
        seed: of the traffic.
    """
    began = time.monotonic()
    traffic = Traffic(rig.bootstrap, seed)
    modules = modules or {}
    done: dict[str, int] = {}
    failures: list[BaseException] = []
    share = max(1, events // (kills + 1))

    def kill_lane(lane: str) -> None:
        try:
            for i in range(kills // 2 + kills % 2 * (lane == "lake")):
                traffic.send(share)
                point = POINTS[lane][i % 2]
                process = rig.start(
                    lane,
                    modules.get(lane, MODULE),
                    crash_at=f"{point}:{1 + i % 3 // 2}",
                    flush_rows=50,
                    flush_seconds=0.1,
                )
                deadline = time.monotonic() + 60
                while (code := process.poll()) is None and time.monotonic() < deadline:
                    traffic.send(5)
                    time.sleep(0.2)
                if code != -signal.SIGKILL:
                    raise RuntimeError(f"{lane} ended with {code} and not at {point}: {rig.log(lane)}")
                done[point] = done.get(point, 0) + 1
        except BaseException as error:  # noqa: BLE001 - raised below, in the calling thread
            failures.append(error)

    threads = [threading.Thread(target=kill_lane, args=(lane,)) for lane in POINTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    traffic.send(share)
    traffic.close()
    rig.finish(modules)
    report = Report(done, len(traffic.acknowledged.first) + len(traffic.acknowledged.duplicates))
    check(rig, traffic.acknowledged, report)
    report.seconds = time.monotonic() - began
    return report
