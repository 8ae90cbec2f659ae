"""Running the probe: a fresh interpreter, no secrets in its environment, a limit on its time."""

import os
import subprocess
import sys
from pathlib import Path

from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError

TIMEOUT_S = 180.0
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "NUMBA_CACHE_DIR")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def probe_in_child(folder: Path) -> None:
    """Opens a release in a process of its own first; returns where it answered as published.

    Raises:
        SnowmeltError: RELEASE_INVALID where it answered otherwise, died, or took longer than ``TIMEOUT_S``.
    """
    environ = {key: os.environ[key] for key in _KEPT if key in os.environ} | _ONE_THREAD
    command = [sys.executable, "-P", "-m", "snowmelt.releases.probe", str(folder.resolve())]
    try:
        done = subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise SnowmeltError(Reason.RELEASE_INVALID, f"the release was not opened within {TIMEOUT_S:.0f} s") from None
    if done.returncode == ExitCode.OK:
        return
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
    if done.returncode < 0:
        last = f"it ended by signal {-done.returncode}"
    raise SnowmeltError(Reason.RELEASE_INVALID, f"the release failed its probe: {last}")
