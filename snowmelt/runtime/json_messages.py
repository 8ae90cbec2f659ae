"""Protobuf messages to and from JSON by the protos' field names; whole numbers stay numbers, unknown fields fail."""

import difflib
import math
from typing import Any, TypeAlias, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from snowmelt.contracts.errors import FieldViolation, Reason, SnowmeltError

M = TypeVar("M", bound=Message)
Field: TypeAlias = Any
"""A FieldDescriptor of either backend: the stubs know them as two types without a common one."""

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


def to_message(value: Any, message: M) -> M:
    """Fills ``message`` from a JSON object and returns it; the protovalidate rules are not checked here.

    Raises:
        SnowmeltError: INVALID_FIELD with one violation a wrong or unknown field.
    """
    wrong: list[FieldViolation] = []
    if isinstance(value, dict):
        _fill(value, message, "", wrong)
    else:
        wrong.append(FieldViolation("", "the body must be an object"))
    if wrong:
        raise SnowmeltError.of_fields(Reason.INVALID_FIELD, wrong)
    return message


def _fill(value: dict[str, Any], message: Message, path: str, wrong: list[FieldViolation]) -> None:
    fields = message.DESCRIPTOR.fields_by_name
    for name, part in value.items():
        place = f"{path}.{name}" if path else name
        field = fields.get(name)
        if field is None:
            near = difflib.get_close_matches(name, list(fields), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            wrong.append(FieldViolation(place[:128], "there is no such field" + hint))
        elif part is None:
            wrong.append(FieldViolation(place, "null is not a value; leave the field out"))
        elif is_map(field):
            _fill_map(part, message, field, place, wrong)
        elif field.is_repeated:
            _fill_list(part, getattr(message, name), field, place, wrong)
        elif field.message_type is not None:
            getattr(message, name).SetInParent()
            _fill_inner(part, getattr(message, name), place, wrong)
        elif (problem := _problem(part, field)) is None:
            setattr(message, name, _scalar(part, field))
        else:
            wrong.append(FieldViolation(place, problem))


def _fill_inner(part: Any, message: Message, place: str, wrong: list[FieldViolation]) -> None:
    if isinstance(part, dict):
        _fill(part, message, place, wrong)
    else:
        wrong.append(FieldViolation(place, "must be an object"))


def _fill_list(part: Any, target: Any, field: Field, place: str, wrong: list[FieldViolation]) -> None:
    if not isinstance(part, list):
        wrong.append(FieldViolation(place, "must be a list"))
        return
    for i, each in enumerate(part):
        if field.message_type is not None:
            _fill_inner(each, target.add(), f"{place}[{i}]", wrong)
        elif (problem := _problem(each, field)) is None:
            target.append(_scalar(each, field))
        else:
            wrong.append(FieldViolation(f"{place}[{i}]", problem))


def _fill_map(part: Any, message: Message, field: Field, place: str, wrong: list[FieldViolation]) -> None:
    if not isinstance(part, dict):
        wrong.append(FieldViolation(place, "must be an object"))
        return
    inner = value_field(field)
    target = getattr(message, field.name)
    for key, each in part.items():
        problem = _problem(each, inner)
        if problem is None:
            target[key] = _scalar(each, inner)
        else:
            wrong.append(FieldViolation(f'{place}["{key[:64]}"]', problem))


def _problem(value: Any, field: Field) -> str | None:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return None if isinstance(value, str) else "must be a string"
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return None if isinstance(value, bool) else "must be true or false"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    if kind in _FLOATS:
        return None
    if isinstance(value, float) and not value.is_integer():
        return "must be a whole number"
    low, high = _INTEGERS[kind]
    return None if low <= value <= high else f"must be from {low} to {high}"


def _scalar(value: Any, field: Field) -> Any:
    if field.cpp_type in _FLOATS:
        return float(value)
    return int(value) if field.cpp_type in _INTEGERS else value


def to_json(message: Message) -> dict[str, Any]:
    """The message as a JSON object: fields with presence where they are set, all others always, NaN as null."""
    return {
        field.name: _json(getattr(message, field.name), field)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _json(value: Any, field: Field) -> Any:
    if is_map(field):
        inner = value_field(field)
        return {key: _one(value[key], inner) for key in sorted(value)}
    if field.is_repeated:
        return [_one(each, field) for each in value]
    return _one(value, field)


def _one(value: Any, field: Field) -> Any:
    if field.message_type is not None:
        return to_json(value)
    if field.cpp_type in _FLOATS and not math.isfinite(value):
        return None
    return value


def is_map(field: Field) -> bool:
    """Whether the field is a map."""
    inner = field.message_type
    return inner is not None and bool(inner.GetOptions().map_entry)


def value_field(field: Field) -> Field:
    """The values' type of a map field."""
    return field.message_type.fields_by_name["value"]
