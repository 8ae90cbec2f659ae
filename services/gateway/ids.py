"""What the public doors ask of an id beyond the protos' rules: readable, and not able to pass for another."""

import unicodedata
from collections.abc import Iterable, Mapping

from snowmelt.contracts.errors import FieldViolation, Reason, SnowmeltError

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def problem(value: str) -> str | None:
    """What is wrong with an id: only spaces, control characters, or marks that turn the reading direction."""
    if not value.strip():
        return "must not be blank"
    if any(ch in _DIRECTIONS or unicodedata.category(ch) == "Cc" for ch in value):
        return "must not hold control characters or direction marks"
    return None


def check(values: Mapping[str, str]) -> None:
    """Holds ids (by the path of their field) against the rule; empty ones are the protos' affair.

    Raises:
        SnowmeltError: INVALID_FIELD with one violation an id.
    """
    check_pairs(values.items())


def check_pairs(values: Iterable[tuple[str, str]]) -> None:
    """``check`` for pairs of path and id."""
    wrong = tuple(FieldViolation(path, found) for path, value in values if value and (found := problem(value)))
    if wrong:
        raise SnowmeltError.of_fields(Reason.INVALID_FIELD, wrong)
