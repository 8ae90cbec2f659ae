"""The rules of the protos, held against whole columns: what protovalidate says of one message, said of many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.descriptor import Descriptor

from buf.validate import validate_pb2
from snowmelt.contracts.ids import ID, OPTIONAL_ID

Mask = npt.NDArray[np.bool_]

CONTROL_FREE = r"^[^\x00-\x1f\x7f]*$"


@dataclass(frozen=True)
class Text:
    """Rules of a string: bytes and a pattern; an empty pattern allows anything."""

    min_bytes: int = 0
    max_bytes: int = 2**31 - 1
    pattern: str = ""

    def broken(self, column: pa.StringArray) -> Mask:
        """bool[n]: which strings break the rules."""
        sizes = pc.binary_length(column).to_numpy(zero_copy_only=False)
        bad: Mask = (sizes < self.min_bytes) | (sizes > self.max_bytes)
        if not self.pattern or _surely_fits(self.pattern, column):
            return bad
        coded = column.dictionary_encode()
        fits = pc.match_substring_regex(coded.dictionary, self.pattern).to_numpy(zero_copy_only=False)
        bad |= ~fits.astype(np.bool_)[coded.indices.to_numpy(zero_copy_only=False)]
        return bad


@dataclass(frozen=True)
class Number:
    """Bounds of a number, inclusive; a float must be finite where there is one."""

    low: float
    high: float

    def broken(self, column: npt.NDArray[Any], present: Mask | None = None) -> Mask:
        """bool[n]: which numbers break the bounds; ``present`` says where there is one."""
        with np.errstate(invalid="ignore"):
            bad: Mask = ~((column >= self.low) & (column <= self.high))
        return bad if present is None else bad & present


@dataclass(frozen=True)
class Many:
    """Rules of a repeated field or a map: how many, and each of them."""

    max_items: int
    items: Text
    values: Text | None = None

    def broken(self, lengths: npt.NDArray[np.int64], *flat: pa.StringArray) -> Mask:
        """bool[n]: which rows break the rules; ``flat`` are the items (keys, values) of all rows."""
        bad: Mask = lengths > self.max_items
        row = np.repeat(np.arange(len(lengths)), lengths)
        for rule, column in zip((self.items, self.values), flat, strict=False):
            if rule is not None and len(column):
                bad[row[rule.broken(column)]] = True
        return bad


Rule = Text | Number | Many


def rules_of(descriptor: Descriptor) -> dict[str, Rule]:
    """The rules of each field that has some.

    Raises:
        NotImplementedError: a field has a rule that is not known here; without that it would go unheeded.
    """
    found: dict[str, Rule] = {}
    for field in descriptor.fields:
        options = field.GetOptions()
        if options.HasExtension(validate_pb2.field):
            found[field.name] = _rule(field.name, options.Extensions[validate_pb2.field])
    return found


def _rule(name: str, rules: validate_pb2.FieldRules) -> Rule:
    kind = rules.WhichOneof("type")
    if kind == "string":
        return _text(name, rules.string)
    if kind in ("double", "int64", "int32"):
        bounds = getattr(rules, kind)
        _only(name, bounds, {"finite", "gte", "lte"})
        return Number(bounds.gte, bounds.lte)
    if kind == "repeated":
        _only(name, rules.repeated, {"max_items", "items"})
        return Many(rules.repeated.max_items, _text(name, rules.repeated.items.string))
    if kind == "map":
        _only(name, rules.map, {"max_pairs", "keys", "values"})
        return Many(rules.map.max_pairs, _text(name, rules.map.keys.string), _text(name, rules.map.values.string))
    raise NotImplementedError(f"{name}: a rule of kind {kind}")


def _text(name: str, rules: validate_pb2.StringRules) -> Text:
    _only(name, rules, {"min_len", "max_bytes", "pattern"})
    if rules.min_len > 1:
        raise NotImplementedError(f"{name}: min_len counts characters, not bytes")
    limit = rules.max_bytes if rules.HasField("max_bytes") else 2**31 - 1
    return Text(rules.min_len, limit, rules.pattern)


def _only(name: str, rules: Any, known: set[str]) -> None:
    others: Sequence[str] = [field.name for field, _ in rules.ListFields() if field.name not in known]
    if others:
        raise NotImplementedError(f"{name}: rules {', '.join(others)}")


def _surely_fits(pattern: str, column: pa.StringArray) -> bool:
    """Whether a look at the bytes is enough to say that every string fits; their sizes are looked at elsewhere."""
    if pattern == CONTROL_FREE:
        octets = _octets(column)
        return not ((octets < 0x20) | (octets == 0x7F)).any()
    if pattern in (ID, OPTIONAL_ID):
        octets = _octets(column)
        return not ((octets <= 0x20) | (octets >= 0x7F)).any()
    return False


def _octets(column: pa.StringArray) -> npt.NDArray[np.uint8]:
    _, places, data = column.buffers()
    if data is None or not len(column):
        return np.empty(0, np.uint8)
    places = np.frombuffer(places, np.int32)
    return np.frombuffer(data, np.uint8)[places[column.offset] : places[column.offset + len(column)]]
