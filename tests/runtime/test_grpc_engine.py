"""Services poll without gRPC's engine of threads, and this gRPC knows the names by which that is said."""

import os
import subprocess
import sys

CALLS = 200
SWITCHES = """
import asyncio, os
import services.ranker
import grpc, grpc.aio

def switches():
    total = 0
    for task in os.listdir("/proc/self/task"):
        if open(f"/proc/self/task/{task}/comm").read().strip() == "event_engine":
            lines = open(f"/proc/self/task/{task}/status").read().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return total

async def main():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for call in range(%d):
            try:
                await channel.unary_unary("/nobody/there")(b"")
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            if not call:
                before = switches()
        print(switches() - before)
    await server.stop(None)

asyncio.run(main())
"""


def switches_of_engine_threads(experiments: str | None) -> int:
    environ = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    if experiments is not None:
        environ["GRPC_EXPERIMENTS"] = experiments
    command = [sys.executable, "-c", SWITCHES % CALLS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environ)
    assert "Unknown experiment" not in done.stderr
    return int(done.stdout)


def test_calls_of_a_service_do_not_pass_through_engine_threads() -> None:
    assert switches_of_engine_threads(None) < CALLS


def test_what_is_set_already_stands() -> None:
    assert switches_of_engine_threads("") > CALLS
