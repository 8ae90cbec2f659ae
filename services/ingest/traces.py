"""Spans of the records whose senders are being traced: each record's own trace shows the work and the write."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span

from services.ingest.batch import Batch
from snowmelt.runtime.stages import timed
from snowmelt.runtime.telemetry import extract

NAMES = {"lake": ("ingest.land", "lake.commit"), "features": ("ingest.aggregate", "state.write")}
MAX_TRACED = 64
"""Records of one batch that get spans: a batch may hold thousands."""
_SAMPLED = 1
"""The lowest bit of a traceparent's flags; the others say other things."""
_TRACER = trace.get_tracer("snowmelt")


class Traces:
    """The spans of one batch, open while the ``with`` block lasts."""

    def __init__(self, lane: str, batch: Batch) -> None:
        self._work, self._write = NAMES[lane]
        self._batch = batch
        self._open: list[Span] = []

    def __enter__(self) -> "Traces":
        for parent in _parents(self._batch):
            span = _TRACER.start_span(self._work, context=extract({"traceparent": parent}))
            span.set_attribute("topic", self._batch.topic)
            self._open.append(span)
        return self

    def __exit__(self, *_: object) -> None:
        for span in self._open:
            span.end()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The spans of the write to the sink, and an observation of the metric."""
        spans = [_TRACER.start_span(self._write, context=trace.set_span_in_context(span)) for span in self._open]
        try:
            with timed(self._write):
                yield
        finally:
            for span in spans:
                span.end()


def _parents(batch: Batch) -> list[str]:
    found: dict[str, None] = {}
    for headers in batch.headers:
        for name, value in headers or ():
            if name == "traceparent" and isinstance(value, bytes) and _sampled(value):
                found[value.decode("ascii", "replace")] = None
        if len(found) >= MAX_TRACED:
            break
    return list(found)


def _sampled(traceparent: bytes) -> bool:
    try:
        return bool(int(traceparent[-2:], 16) & _SAMPLED)
    except ValueError:
        return False
