"""What ``snowmelt status`` makes of its figures and of what the lanes say."""

import http.server
import threading
from pathlib import Path

import pytest

from snowmelt.chaos.rig import free_port
from snowmelt.contracts.topics import CATALOG, EVENTS
from snowmelt.embedded.lanes import Flow
from snowmelt.embedded.places import ask, ask_lanes
from snowmelt.runtime.config import Settings
from snowmelt.runtime.ops import OpsServer


@pytest.mark.parametrize(
    ("taken", "behind", "topic", "accepted", "balanced", "fault"),
    [
        (95, 0, EVENTS, 0, True, ""),
        (70, 25, EVENTS, 0, True, ""),
        (80, 25, EVENTS, 0, True, ""),  # an idle bucket hears late how far its partition is
        (70, 20, EVENTS, 0, False, "5 records are neither in it nor counted"),
        (70, 20, EVENTS, 5, False, ""),
        (70, 20, EVENTS, 4, False, "5 records are neither in it nor counted"),
        (70, 20, CATALOG, 0, False, ""),  # Kafka compacts it
        (96, 0, EVENTS, 5, False, "it holds 1 records more than were produced"),
        (96, 10, CATALOG, 0, False, "it holds 1 records more than were produced"),
    ],
)
def test_what_nothing_that_waits_explains_is_a_fault(
    taken: int, behind: int, topic: str, accepted: int, *, balanced: bool, fault: str
) -> None:
    flow = Flow(topic, "lake", 100, taken, 2, 3, behind, None)
    assert flow.balanced is balanced
    said = flow.fault(accepted)
    assert (fault in said) if fault else not said


class NoLane(http.server.BaseHTTPRequestHandler):
    """Answers as the ops listener does to a name that it does not know."""

    def do_GET(self) -> None:
        self.send_response(421)
        self.end_headers()
        self.wfile.write(b'{"code": "host_not_allowed"}')

    def log_message(self, *_: object) -> None:
        return


def test_a_lane_that_says_nothing_is_not_taken_for_a_ready_one(tmp_path: Path) -> None:
    reasons = ["paused"]
    lane = OpsServer("127.0.0.1:0", lambda: reasons, Settings(state_dir=tmp_path))
    lane.start()
    other = http.server.HTTPServer(("127.0.0.1", 0), NoLane)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    nobody = f"127.0.0.1:{free_port()}"
    try:
        named = f"lake={lane.address},lake={nobody}, features=127.0.0.1:{other.server_port}"
        said = ask_lanes(Settings(state_dir=tmp_path, lanes_ops=named))
        reasons.clear()
        assert (ask("lake", lane.address).answers, ask("lake", lane.address).reasons) == (True, [])
    finally:
        lane.stop()
        other.shutdown()
        other.server_close()
    assert [(told.part, told.answers) for told in said] == [("lake", True), ("lake", False), ("features", False)]
    assert said[0].reasons == ["paused"]
    assert nobody in said[1].reasons[0]
    assert "is no lane" in said[2].reasons[0]
    assert ask_lanes(Settings(state_dir=tmp_path, lanes_ops="")) == []
