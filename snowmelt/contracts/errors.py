"""One table of what can go wrong: reason -> gRPC status -> HTTP status -> problem type."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Row:
    """How one reason is said on the wire; ``grpc`` is the number of a grpc.StatusCode."""

    grpc: int
    http: int
    title: str


class Reason(Enum):
    """Every reason a caller may meet; its name in lower case is the problem's ``code`` and ErrorInfo's ``reason``."""

    MALFORMED_JSON = Row(3, 400, "The body is not valid JSON")
    MALFORMED_MESSAGE = Row(3, 400, "The message cannot be decoded")
    INVALID_FIELD = Row(3, 400, "A field is invalid")
    UNKNOWN_EVENT_TYPE = Row(3, 400, "The event type is not declared")
    UNSUPPORTED_MEDIA_TYPE = Row(3, 415, "The content type is not supported")
    NOT_ACCEPTABLE = Row(3, 406, "None of the accepted types can be served")
    BODY_TOO_LARGE = Row(8, 413, "The body is too large")
    HEADERS_TOO_LARGE = Row(8, 431, "The headers are too large")
    HOST_NOT_ALLOWED = Row(3, 421, "The Host header is not on the list")
    UNAUTHENTICATED = Row(16, 401, "No valid token was given")
    PERMISSION_DENIED = Row(7, 403, "The token does not allow this")
    NOT_FOUND = Row(5, 404, "There is no such thing")
    UNKNOWN_METHOD = Row(12, 404, "There is no such method")
    METHOD_NOT_ALLOWED = Row(12, 405, "The path does not take this method")
    RELEASE_NOT_FOUND = Row(5, 404, "There is no such release")
    RELEASE_NOT_LOADED = Row(9, 400, "The release is not loaded here")
    RELEASE_INVALID = Row(9, 400, "The release failed verification")
    GENERATION_MISMATCH = Row(10, 409, "Somebody else activated a release first")
    NO_RELEASE = Row(9, 400, "There is no release yet")
    FEATURES_MISMATCH = Row(9, 400, "State and features do not belong together")
    UNAVAILABLE = Row(14, 503, "A part that is needed is not available; try again")
    DEADLINE_EXCEEDED = Row(4, 504, "The deadline has passed")
    CANCELLED = Row(1, 499, "The caller has gone")
    INTERNAL = Row(13, 500, "A fault of ours; the trace id finds it")

    @property
    def code(self) -> str:
        """The reason as it stands on the wire."""
        return self.name.lower()


@dataclass(frozen=True)
class FieldViolation:
    """What is wrong with one field, by its path (``events[3].item_id``)."""

    field: str
    detail: str


class SnowmeltError(Exception):
    """An expected failure: who asked can mend it, or try again.

    ``detail`` is shown to callers: it says what to do, and holds no path, token, stack or other tenant's data.
    """

    def __init__(
        self, reason: Reason, detail: str, *, field: str = "", violations: tuple[FieldViolation, ...] = ()
    ) -> None:
        super().__init__(f"{reason.code}: {detail}")
        self.reason = reason
        self.detail = detail
        self.violations = violations or ((FieldViolation(field, detail),) if field else ())

    @classmethod
    def of_fields(cls, reason: Reason, violations: Sequence[FieldViolation]) -> "SnowmeltError":
        """What is wrong with at least one field (no name: the whole message); ``detail`` names the first."""
        first = violations[0]
        detail = f"{first.field}: {first.detail}" if first.field else first.detail
        return cls(reason, detail, violations=tuple(violations))


class ExitCode:
    """How the processes and the command line end, after sysexits.h."""

    OK = 0
    FAILED = 1
    USAGE = 2
    BAD_DATA = 65
    UNAVAILABLE = 69
    TEMPORARY = 75
    BAD_CONFIG = 78
    INTERRUPTED = 130
