"""JSON as the REST door takes it: RFC 8259 to the letter, each key once, finite numbers, a bounded depth."""

import json
import re
from typing import Any, NoReturn

from snowmelt.contracts.errors import Reason, SnowmeltError

DEPTH_MAX = 32

_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises:
        SnowmeltError: MALFORMED_JSON for anything that is not one, NaN and infinities, ``-0``, repeated keys, lone
            surrogates, or a depth over 32.
    """
    if _depth(body) > DEPTH_MAX:
        _refuse(f"it is nested deeper than {DEPTH_MAX}")
    try:
        text = body.decode()
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        _refuse("it is not UTF-8, or holds half of a surrogate pair")
    except ValueError as error:
        _refuse(str(error))
    return value


def _refuse(detail: str) -> NoReturn:
    raise SnowmeltError(Reason.MALFORMED_JSON, f"the body is not valid JSON: {detail}") from None


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for found in _STRING_OR_BRACKET.finditer(body):
        mark = found[0]
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in b"]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:64]!r} stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:32]} is too large")
    if value == 0 and text.startswith("-"):
        raise ValueError("write 0, not -0")
    return value


def _int(text: str) -> int:
    if text == "-0":
        raise ValueError("write 0, not -0")
    if len(text) > 20:
        raise ValueError(f"{text[:32]} is too large")
    return int(text)
