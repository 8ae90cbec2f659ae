"""The rules that stand in the protos, enforced: a message that breaks one becomes a SnowmeltError with field paths."""

from collections.abc import Callable
from typing import TypeVar

import protovalidate
from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError, Message

from snowmelt.contracts.errors import FieldViolation, Reason, SnowmeltError
from snowmelt.contracts.ids import ID, ID_RULE, OPTIONAL_ID
from snowmelt.runtime.config import ConfigError

M = TypeVar("M", bound=Message)

_VALIDATOR = protovalidate.Validator()


def check(message: Message) -> None:
    """Holds a message against its protovalidate rules.

    Raises:
        SnowmeltError: INVALID_FIELD with one violation a broken rule (``events[3].item_id``).
    """
    violations = tuple(
        FieldViolation(_path(v.proto.field), _in_words(v)) for v in _VALIDATOR.collect_violations(message)
    )
    if violations:
        raise SnowmeltError.of_fields(Reason.INVALID_FIELD, violations)


def decode(deserialize: Callable[[bytes], M], raw: bytes, checked: bool = True) -> M:
    """A message out of its bytes (``deserialize``: the message type's ``FromString``), held against its rules.

    Raises:
        SnowmeltError: MALFORMED_MESSAGE or INVALID_FIELD.
    """
    try:
        message = deserialize(raw)
    except DecodeError:
        raise SnowmeltError(Reason.MALFORMED_MESSAGE, "the bytes are no message of this method") from None
    if checked:
        check(message)
    return message


def require_upb() -> None:
    """Refuses the pure Python protobuf, which recurses without a bound (CVE-2025-4565).

    Raises:
        ConfigError: another backend than upb is in use.
    """
    if api_implementation.Type() != "upb":
        raise ConfigError("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION: protobuf must run on upb; unset it")


def _in_words(violation: protovalidate.Violation) -> str:
    if violation.proto.rule_id == "string.pattern" and violation.rule_value in (ID, OPTIONAL_ID):
        return ID_RULE  # the pattern itself says nothing to a reader
    return violation.proto.message or violation.proto.rule_id


def _path(field: object) -> str:
    parts: list[str] = []
    for element in getattr(field, "elements", None) or ():
        parts.append(("." if parts else "") + element.field_name)
        if element.subscript is not None:
            value = element.subscript.value
            parts.append(f"[{value}]")
    return "".join(parts)
