"""How the online store's keys are made; a format that never moves."""

from snowmelt.contracts.ids import BUCKETS

POINTER = "snowmelt!generation"
"""Holds the name of the generation that is read and written now; each bucket has a copy of it."""

REBUILD = "snowmelt!rebuild"
"""The claim of the rebuild that is at work."""
ATTEMPTS = "snowmelt!attempts"
"""The highest number of a generation that a rebuild has begun."""
RENEWED = "snowmelt!renewed"
"""The run of the server in which its append-only file was written anew."""
EPOCH = "!epoch"
"""The field of a fence hash that tells one life of its bucket from another."""


def bucket_tag(tenant: str, bucket: int) -> str:
    """The part of a key in braces: all keys of a bucket lie in one slot of a cluster."""
    return f"{{{tenant}/{bucket}}}"


def pointer_copy(tenant: str, bucket: int) -> str:
    """The bucket's copy of the pointer, read together with the states of the bucket."""
    return f"{bucket_tag(tenant, bucket)}!generation"


def state_prefix(tenant: str, bucket: int, generation: str, view: str) -> str:
    """The key of a view's state, up to the entity."""
    return f"{bucket_tag(tenant, bucket)}/{generation}/{view}/"


def fence(tenant: str, bucket: int, generation: str) -> str:
    """A hash: ``incarnation/topic/partition`` to the next offset, and its counters."""
    return f"{bucket_tag(tenant, bucket)}/{generation}!fence"


def fence_field(incarnation: str, topic: str, partition: int) -> str:
    """The field of one partition in the fence hash."""
    return f"{incarnation}/{topic}/{partition}"


def sequence(tenant: str, bucket: int, generation: str) -> str:
    """The number of writes that changed a state in the bucket."""
    return f"{bucket_tag(tenant, bucket)}/{generation}!sequence"


def changes(tenant: str, bucket: int, generation: str, view: str) -> str:
    """A sorted set: each entity that the view has in the bucket, and the sequence of its newest change."""
    return f"{bucket_tag(tenant, bucket)}/{generation}!changes/{view}"


def generation_of(key: bytes) -> str:
    """The generation that a key of a bucket belongs to."""
    return key.partition(b"}/")[2].replace(b"!", b"/").partition(b"/")[0].decode()


def all_buckets() -> range:
    """The numbers of the buckets."""
    return range(BUCKETS)
