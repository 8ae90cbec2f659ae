"""Generations of state: which one is live, and the switch to another.

A generation's name is ``<number>-<first 12 signs of the views' hash>``: it says which views wrote its bytes, so that
no process merges into, or decodes, what other views laid out. Writers and readers follow the pointer:

- Readers look at a bucket's copy of it in the same round trip as the states.
- The feature lane asks ``StateStore.follow()`` before each batch. When it returns true the generation has changed: the
  lane reads the new generation's fences and seeks each partition to the least of its 16. A rebuild leaves there the
  next offsets of the lake's version that it folded, so that what came after is applied once, from Kafka.
- A write to the old generation after the switch harms nothing: nobody reads it any more.
"""

import redis
from redis.client import Pipeline

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.featurestore import names
from snowmelt.featurestore.connection import redis_errors

HASH_SIGNS = 12


def generation_name(number: int, views_hash: str) -> str:
    """The name of the ``number``-th generation, written by the views of this hash."""
    return f"{number}-{views_hash[:HASH_SIGNS]}"


def number_of(generation: str) -> int:
    """The number that leads a generation's name."""
    return int(generation.partition("-")[0])


def written_by(generation: str, views_hash: str) -> bool:
    """Whether views of this hash wrote the generation."""
    return generation.partition("-")[2] == views_hash[:HASH_SIGNS]


def check_views(generation: str, views_hash: str) -> None:
    """Refuses views that did not write the generation.

    Raises:
        SnowmeltError: FEATURES_MISMATCH.
    """
    if not written_by(generation, views_hash):
        detail = "the online state was written by other feature views: run `snowmelt rebuild online`"
        raise SnowmeltError(Reason.FEATURES_MISMATCH, detail)


class Generations:
    """The pointer in Redis and its copies, one a bucket."""

    def __init__(self, client: redis.Redis, tenant: str = DEFAULT_TENANT) -> None:
        self._client = client
        self._tenant = tenant

    def current(self) -> str | None:
        """The live generation; None where the store is new.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        with redis_errors():
            value = self._client.get(names.POINTER)
        return _text(value) if value else None

    def ensure(self, views_hash: str) -> str:
        """The live generation, made where the store is new."""
        with redis_errors():
            self._client.set(names.POINTER, generation_name(1, views_hash), nx=True)
            generation = _text(self._client.get(names.POINTER) or b"")
            pipeline = self._client.pipeline(transaction=True)
            for bucket in names.all_buckets():
                pipeline.set(names.pointer_copy(self._tenant, bucket), generation, nx=True)
            pipeline.execute()
        return generation

    def switch(self, generation: str) -> None:
        """Makes a generation the live one, in one transaction."""
        with redis_errors():
            pipeline = self._client.pipeline(transaction=True)
            self.point(pipeline, generation)
            pipeline.execute()

    def point(self, pipeline: Pipeline, generation: str) -> None:
        """Adds to a transaction what makes a generation the live one."""
        pipeline.set(names.POINTER, generation)
        for bucket in names.all_buckets():
            pipeline.set(names.pointer_copy(self._tenant, bucket), generation)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
