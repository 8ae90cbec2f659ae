"""Spans at a fraction of the library's cost: one below another is two times, an id and a name until it has ended.

The library's own span is made for a root alone, where it decides what is sampled.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.sdk.trace import Event, ReadableSpan, Tracer
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode

from snowmelt.contracts.candidates import StageTime
from snowmelt.contracts.clock import wall_ns

NAME = "snowmelt"
Attribute: TypeAlias = str | int | float | bool

_current: ContextVar[SpanContext | None] = ContextVar("span", default=None)
_SCOPE = InstrumentationScope(NAME, "")
_UNSET = Status(StatusCode.UNSET)


def current() -> SpanContext | None:
    """The span that the work at hand belongs to; None outside of one."""
    return _current.get()


class Root(AbstractContextManager[None]):
    """A span of the library's, current for the time of the block."""

    __slots__ = ("_span", "_token")
    _token: Token[SpanContext | None]

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token = _current.set(self._span.get_span_context())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _current.reset(self._token)
        # What ends a task or a generator is no error of the work.
        failed = isinstance(error, Exception)
        self._span.__exit__(kind if failed else None, error if failed else None, traceback)


class Child(AbstractContextManager[None]):
    """A span below another, of this process or of its caller, current for the time of the block; sampled as that is."""

    __slots__ = ("_attributes", "_begun_ns", "_context", "_kind", "_name", "_parent", "_token")
    _token: Token[SpanContext | None]
    _begun_ns: int

    def __init__(
        self,
        name: str,
        parent: SpanContext,
        attributes: Mapping[str, Attribute],
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self._name, self._parent, self._attributes, self._kind = name, parent, attributes, kind
        self._context = _below(parent)

    def __enter__(self) -> None:
        self._token = _current.set(self._context)
        self._begun_ns = wall_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _current.reset(self._token)
        if tracer := _sampled(self._parent):
            failed = isinstance(error, Exception)
            tracer.span_processor.on_end(
                ReadableSpan(
                    self._name,
                    self._context,
                    self._parent,
                    tracer.resource,
                    self._attributes,
                    events=(_raised(error),) if failed and error else (),
                    kind=self._kind,
                    status=Status(StatusCode.ERROR, f"{type(error).__name__}: {error}") if failed else _UNSET,
                    start_time=self._begun_ns,
                    end_time=wall_ns(),
                    instrumentation_scope=_SCOPE,
                )
            )


def note(stages: Sequence[StageTime]) -> None:
    """A span below the current one for each stage of work that ends now; each began where the one before it ended."""
    parent = _current.get()
    tracer = _sampled(parent) if parent else None
    if parent is None or tracer is None:
        return
    begun_ns = wall_ns() - int(sum(stage.duration_ms for stage in stages) * 1e6)
    for stage in stages:
        ended_ns = begun_ns + int(stage.duration_ms * 1e6)
        tracer.span_processor.on_end(
            ReadableSpan(
                stage.name,
                _below(parent),
                parent,
                tracer.resource,
                start_time=begun_ns,
                end_time=ended_ns,
                status=_UNSET,
                instrumentation_scope=_SCOPE,
            )
        )
        begun_ns = ended_ns


def _below(parent: SpanContext) -> SpanContext:
    tracer = _tracer()
    own = tracer.id_generator.generate_span_id() if tracer else parent.span_id
    return SpanContext(parent.trace_id, own, False, parent.trace_flags, parent.trace_state)


def _sampled(parent: SpanContext) -> Tracer | None:
    return _tracer() if parent.trace_flags.sampled else None


_held: list[Tracer] = []


def _tracer() -> Tracer | None:
    """The provider's tracer; None where no provider was installed, or OTEL_SDK_DISABLED says so."""
    if not _held:
        found = trace.get_tracer_provider().get_tracer(NAME)
        if not isinstance(found, Tracer):
            return None
        _held.append(found)
    return _held[0]


def _raised(error: BaseException) -> Event:
    return Event("exception", {"exception.type": type(error).__qualname__, "exception.message": str(error)})
