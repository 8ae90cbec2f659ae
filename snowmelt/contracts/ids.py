"""Ids: what is a valid one, and the 64-bit keys that stand for items inside."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash

DEFAULT_TENANT = "default"
BUCKETS = 16
SESSION_MARK = "\x1f"
"""Leads the entity of an anonymous session: no id may hold a control character, so no user can be mistaken for one."""

OPTIONAL_ID = (
    "^([ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
    "[^\\x00-\\x20\\x7f-\\xa0\u061c\u1680\u2000-\u200a\u200e\u200f\u2028-\u202f\u205f\u2066-\u2069\u3000]"
    "[^\\x00-\\x1f\\x7f-\\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]*)?$"
)
ID = OPTIONAL_ID.replace("(", "").replace(")?", "")
"""The protos' patterns of ids: not blank, no control characters, no marks that turn the reading direction."""
ID_RULE = "must not be blank, nor hold control characters or direction marks"

Keys = npt.NDArray[np.uint64]


def item_key(tenant: str, item_id: str) -> int:
    """The unsigned 64-bit key of an item: xxh3 of tenant, U+0000 and id."""
    return xxhash.xxh3_64_intdigest(f"{tenant}\0{item_id}".encode())


def item_keys(tenant: str, item_ids: Iterable[str]) -> Keys:
    """``item_key`` of many: uint64[n]."""
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(f"{tenant}\0{i}".encode()) for i in item_ids), dtype=np.uint64)


def word_key(word: str) -> int:
    """The unsigned 64-bit key of a category or another word that is the same for every tenant."""
    return xxhash.xxh3_64_intdigest(word.encode())


def word_keys(words: Iterable[str]) -> Keys:
    """``word_key`` of many: uint64[n]."""
    return np.fromiter((xxhash.xxh3_64_intdigest(w.encode()) for w in words), dtype=np.uint64)


def entity_bucket(tenant: str, entity: str) -> int:
    """Which of the 16 buckets of the online store holds an entity (a user, a session or an item)."""
    return xxhash.xxh3_64_intdigest(f"{tenant}\0{entity}".encode()) % BUCKETS


def session_entity(session_id: str) -> str:
    """The entity under which an anonymous session's state is kept."""
    return SESSION_MARK + session_id


def record_key(tenant: str, entity: str) -> bytes:
    """The key of a Kafka record: tenant, a slash, entity; a tenant holds no slash."""
    return f"{tenant}/{entity}".encode()
