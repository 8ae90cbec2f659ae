"""A redis-server of a drill's own, which can be killed, cut, emptied, and followed by a replica that takes over."""

import os
import random
import subprocess
import time
from pathlib import Path

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.embedded import redis_server
from snowmelt.featurestore import names
from snowmelt.featurestore.connection import connect, redis_errors

START_S = 30.0


class RedisNode:
    """One server at one port; ``take_over`` changes what stands behind the port and leaves the address as it is.

    ``binary`` is the redis-server; empty: the one that ``redis_server`` finds. Its replica ends with it.
    """

    def __init__(self, folder: Path, port: int, binary: str = "") -> None:
        self.folder, self.port, self._binary = folder, port, binary
        self.url = f"redis://127.0.0.1:{port}/0"
        self.client = connect(self.url, retries=0)
        self._replica: RedisNode | None = None
        self._process = self._started()

    def start(self) -> None:
        """Starts the server where it does not run, and waits until it has read its file.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        if self._process.poll() is not None:
            self._process = self._started()
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise SnowmeltError(Reason.UNAVAILABLE, f"Redis did not start again in {self.folder}")
            time.sleep(0.01)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ends the server as it likes to be ended."""
        if self._replica is not None:
            self._replica.stop()
        self._process.terminate()
        self._process.wait()
        self.client.close()

    def tail_bytes(self) -> int:
        """How much of the append-only file was appended since it was written anew; a rewrite is waited for.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        deadline = time.monotonic() + START_S
        while (known := self.client.info("persistence"))["aof_rewrite_in_progress"] or known["aof_rewrite_scheduled"]:
            if time.monotonic() > deadline:
                raise SnowmeltError(Reason.UNAVAILABLE, "Redis does not end the rewrite of its append-only file")
            time.sleep(0.01)
        return int(known["aof_current_size"]) - int(known["aof_base_size"])

    def renewed(self) -> bool:
        """Whether the append-only file was written anew since the server started: before that it may be torn within."""
        renewed = self.client.get(names.RENEWED) == self.client.info("server")["run_id"].encode()
        return renewed and not self.client.info("persistence")["aof_rewrite_in_progress"]

    def cut(self, tail_bytes: int, random: random.Random) -> int:
        """Takes the end off the file of a server that was killed, most often within a command; how many bytes."""
        taken = int(tail_bytes ** random.uniform(0.3, 1.0))
        newest = max(_append_only_files(self.folder), key=lambda path: (path.stat().st_mtime_ns, path.name))
        os.truncate(newest, newest.stat().st_size - taken)
        return taken

    def replica(self, folder: Path, port: int) -> "RedisNode":
        """A server that replicates this one and has all of it, also in its own append-only file.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        self._replica = made = RedisNode(folder, port, self._binary)
        made.start()
        made.client.replicaof("127.0.0.1", str(self.port))
        deadline = time.monotonic() + START_S
        while made.client.info("replication")["master_link_status"] != "up":
            if time.monotonic() > deadline:
                raise SnowmeltError(Reason.UNAVAILABLE, "the replica does not follow")
            time.sleep(0.01)
        made.tail_bytes()
        return made

    def position(self) -> int:
        """How many bytes of writes this server has taken in the history that it shares with its replicas."""
        return int(self.client.info("replication")["master_repl_offset"])

    def take_over(self, replica: "RedisNode") -> None:
        """What the replica holds answers at this server's address from now on; this server is dead."""
        self.kill()
        replica.stop()
        self.folder = replica.folder
        self.start()

    def _started(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(redis_server.command(self.folder, self.port, self._binary), stdout=subprocess.DEVNULL)

    def _answers(self) -> bool:
        try:
            with redis_errors():
                return bool(self.client.ping())
        except SnowmeltError:
            return False


def _append_only_files(folder: Path) -> list[Path]:
    """Of Redis 7 the parts that are appended to, else the one file."""
    return [*folder.glob("appendonlydir/*.incr.aof")] or [folder / "appendonly.aof"]
