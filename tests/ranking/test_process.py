"""The ranker as a process on a real Redis: it becomes ready with a release, answers, and ends in order."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.chaos.rig import free_port
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.grpc_client import Remote
from tests.ranking.test_service import VIEWS, items, published, request

__all__ = ["items", "published"]
pytestmark = pytest.mark.redis


def status(ops: int) -> int:
    try:
        return int(urllib.request.urlopen(f"http://127.0.0.1:{ops}/readyz", timeout=2).status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


async def rank(port: int, token: str, release_id: str) -> ranker_pb2.RankResponse:
    remote = Remote(f"127.0.0.1:{port}", token)
    try:
        return await remote.call(ranker_pb2_grpc.RankerServiceStub(remote.channel).Rank, request(release_id), 5.0)
    finally:
        await remote.close()


def test_from_start_to_end(published: tuple[Path, str], redis_url: str, tmp_path: Path) -> None:
    root, release_id = published
    VIEWS.dump(tmp_path / "views.json")
    port, ops = free_port(), free_port()
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")},
        "SNOWMELT_STATE_DIR": str(tmp_path),
        "SNOWMELT_VIEWS_PATH": str(tmp_path / "views.json"),
        "SNOWMELT_RELEASES_URL": str(root),
        "SNOWMELT_REDIS_URL": redis_url,
        "SNOWMELT_RANKER_ADDRESS": f"127.0.0.1:{port}",
        "SNOWMELT_RANKER_OPS_ADDRESS": f"127.0.0.1:{ops}",
    }
    process = subprocess.Popen([sys.executable, "-P", "-m", "services.ranker"], env=environ, stderr=subprocess.PIPE)
    try:
        ends = time.monotonic() + 60
        while status(ops) != 200:
            assert process.poll() is None
            assert time.monotonic() < ends, "not ready within a minute"
            time.sleep(0.1)
        token = Tokens.load(str(tmp_path / "tokens.json")).of(Role.SERVICE)
        answer = asyncio.run(rank(port, token, release_id))
        assert answer.release_id == release_id
        assert np.isfinite(np.frombuffer(answer.scores, "<f4")).all()
        assert len(answer.scores) == 16
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said.decode()
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("environ", "code", "said"),
    [
        ({}, 78, b"SNOWMELT_VIEWS_PATH"),
        ({"SNOWMELT_RANKER_WORKERS": "0"}, 78, b"SNOWMELT_RANKER_WORKERS"),
        ({"SNOWMELT_RANKER_WORKRES": "1"}, 78, b"did you mean"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_78(
    environ: dict[str, str], code: int, said: bytes, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "services.ranker"],
        env={"SNOWMELT_STATE_DIR": str(tmp_path), "PATH": "", **environ},
        capture_output=True,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
