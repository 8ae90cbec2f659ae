"""Whoever listens may leave; what is said then is lost, and nothing else."""

import os
from pathlib import Path
from typing import IO, cast

import pytest
from rich.console import Console

from snowmelt.embedded.console import Audience, Reporter


def reporter(stream: IO[str]) -> Reporter:
    return Reporter(Console(file=cast(IO[str], Audience(stream)), soft_wrap=True))


def test_a_terminal_that_was_closed_ends_nothing() -> None:
    outer, inner = os.openpty()
    with os.fdopen(inner, "w") as stream:
        telling = reporter(stream)
        with telling:
            telling.progress("load", 1, 2)
            os.close(outer)
            telling.progress("load", 2, 2)
        telling.say("stopping")
        telling.say("stopped")


def test_a_pipe_that_nobody_reads_ends_nothing() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        telling = reporter(stream)
        os.close(reading)
        telling.say("stopping")
        telling.say("stopped")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said() -> None:
    stream = Path("/dev/full").open("w")  # noqa: SIM115 - closing it would fail, too
    with pytest.raises(OSError, match="No space left"):
        reporter(stream).say("the only copy")
    with pytest.raises(OSError, match="No space left"):
        stream.close()
