"""How a process starts and ends: signals, exit codes, one line for what the operator can mend, JSON log lines."""

import asyncio
import json
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn

from opentelemetry import trace

from snowmelt.contracts.errors import ExitCode, SnowmeltError
from snowmelt.runtime.bind import AddressTaken
from snowmelt.runtime.config import ConfigError
from snowmelt.runtime.telemetry import trace_id


def run(service: str, main: Callable[[threading.Event], None]) -> NoReturn:
    """Runs a synchronous process until it returns; SIGTERM and SIGINT set the event that ``main`` is given.

    Exit codes: 0; 78 for a ConfigError; 69 for a port that is taken; 1 for an error of ours.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _end(service, lambda: main(stop))


def run_async(service: str, main: Callable[[asyncio.Event], Awaitable[None]]) -> NoReturn:
    """``run`` for a process that lives in an event loop."""

    async def watched() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await main(stop)

    _end(service, lambda: asyncio.run(watched()))


def _end(service: str, main: Callable[[], None]) -> NoReturn:
    log_to_stderr(service)
    code = ExitCode.OK
    try:
        main()
    except ConfigError as error:
        code = _say(service, str(error), ExitCode.BAD_CONFIG)
    except AddressTaken as error:
        code = _say(service, str(error), ExitCode.UNAVAILABLE)
    except SnowmeltError as error:
        code = _say(service, error.detail, ExitCode.FAILED)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception:
        logging.getLogger(service).exception("ended by a fault of ours")
        code = ExitCode.FAILED
    provider = trace.get_tracer_provider()
    if hasattr(provider, "shutdown"):
        provider.shutdown()
    sys.stderr.flush()
    sys.exit(code)


def _say(service: str, text: str, code: int) -> int:
    sys.stderr.write(f"{service}: {text}\n")
    return code


def log_to_stderr(service: str, level: int = logging.INFO) -> None:
    """One JSON object a line on stderr, with the trace id where there is one."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class _Json(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found := trace_id():
            line["trace_id"] = found
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
