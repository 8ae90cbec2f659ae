"""A small OpenTelemetry collector: takes OTLP over gRPC and keeps the last 10,000 spans in one SQLite file."""

import argparse
import json
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as wire
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as wire_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

KEEP_SPANS = 10_000
_TRIM_EVERY = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spans (
  seq INTEGER PRIMARY KEY, trace_id TEXT, span_id TEXT, parent_id TEXT, service TEXT, name TEXT,
  start_ns INTEGER, end_ns INTEGER, status INTEGER, attributes TEXT, links TEXT);
CREATE INDEX IF NOT EXISTS by_trace ON spans (trace_id);
"""


@dataclass(frozen=True)
class Span:
    """One span as it was received; times are nanoseconds since 1970 by the wall clock."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, str]
    links: tuple[str, ...] = ()


class SpanStore:
    """The spans kept, oldest dropped first; one writer, any number of readers in other processes."""

    def __init__(self, path: Path, keep: int = KEEP_SPANS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_SCHEMA)
        self._lock = threading.Lock()
        self._keep = keep
        self._since_trim = 0

    def add(self, spans: list[Span]) -> None:
        """Appends spans, and now and then drops the oldest beyond the bound."""
        rows = [
            (
                *(s.trace_id, s.span_id, s.parent_id, s.service, s.name, s.start_ns, s.end_ns, int(s.failed)),
                *(json.dumps(s.attributes), json.dumps(s.links)),
            )
            for s in spans
        ]
        with self._lock, self._db:
            self._db.executemany("INSERT INTO spans VALUES (NULL,?,?,?,?,?,?,?,?,?,?)", rows)
            self._since_trim += len(rows)
            if self._since_trim >= _TRIM_EVERY:
                self._db.execute("DELETE FROM spans WHERE seq <= (SELECT max(seq) FROM spans) - ?", (self._keep,))
                self._since_trim = 0

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace and of those that link to it, by start."""
        query = "SELECT * FROM spans WHERE trace_id = ? OR links LIKE ? ORDER BY start_ns"
        rows = self._db.execute(query, (trace_id, f'%"{trace_id}"%')).fetchall()
        return [
            Span(
                trace, span, parent, service, name, start, end, bool(failed), json.loads(said), tuple(json.loads(links))
            )
            for _, trace, span, parent, service, name, start, end, failed, said, links in rows
        ]

    def close(self) -> None:
        """Closes the file."""
        self._db.close()


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return str(getattr(value, kind)) if kind else ""


def _spans(request: wire.ExportTraceServiceRequest) -> list[Span]:
    spans: list[Span] = []
    for resource in request.resource_spans:
        named = {a.key: _text(a.value) for a in resource.resource.attributes}
        for scope in resource.scope_spans:
            spans += [
                Span(
                    s.trace_id.hex(),
                    s.span_id.hex(),
                    s.parent_span_id.hex(),
                    named.get("service.name", "unknown"),
                    s.name,
                    s.start_time_unix_nano,
                    s.end_time_unix_nano,
                    s.status.code == s.status.STATUS_CODE_ERROR,
                    {a.key: _text(a.value) for a in s.attributes},
                    tuple(link.trace_id.hex() for link in s.links),
                )
                for s in scope.spans
            ]
    return spans


class _Servicer(wire_grpc.TraceServiceServicer):
    def __init__(self, store: SpanStore) -> None:
        self._store = store

    def Export(  # noqa: N802 - the protocol's own name
        self, request: wire.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> wire.ExportTraceServiceResponse:
        del context
        self._store.add(_spans(request))
        return wire.ExportTraceServiceResponse()


class Collector:
    """The server; ``endpoint`` is what OTEL_EXPORTER_OTLP_ENDPOINT must say."""

    def __init__(self, store: SpanStore, port: int = 0) -> None:
        self._server = grpc.server(ThreadPoolExecutor(2, thread_name_prefix="collector"))
        wire_grpc.add_TraceServiceServicer_to_server(_Servicer(store), self._server)  # type: ignore[no-untyped-call]
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()
        self._store = store
        self.endpoint = f"http://127.0.0.1:{bound}"

    def stop(self) -> None:
        """Ends the server and closes the store."""
        self._server.stop(1).wait()
        self._store.close()


def main() -> None:
    """Collects until it is told to stop."""
    parser = argparse.ArgumentParser(prog="snowmelt.embedded.collector", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--spans", type=Path, required=True, help="the SQLite file")
    options = parser.parse_args()
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    collector = Collector(SpanStore(options.spans), options.port)
    signal.sigwait(stop)
    collector.stop()


if __name__ == "__main__":
    main()
