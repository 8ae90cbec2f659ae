"""How far each partition was applied in each bucket, and what became of its records."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import redis

from snowmelt.contracts.ids import BUCKETS
from snowmelt.featurestore import names
from snowmelt.featurestore.connection import redis_errors


@dataclass(frozen=True, order=True)
class Partition:
    """One partition of one incarnation of a topic."""

    incarnation: str
    topic: str
    partition: int

    @property
    def field(self) -> str:
        """Its field in the fence hash."""
        return names.fence_field(self.incarnation, self.topic, self.partition)

    @classmethod
    def parse(cls, text: str) -> "Partition":
        """The partition that a field names."""
        incarnation, topic, number = text.rsplit("/", 2)
        return cls(incarnation, topic, int(number))


@dataclass
class TopicCounters:
    """Sums over a topic's partitions, and the next offset of each, the least of its buckets."""

    applied: int = 0
    duplicates: int = 0
    dead: int = 0
    next_offsets: dict[Partition, int] = field(default_factory=dict)


class Fences:
    """The fence hashes of one generation, 16 of them."""

    def __init__(self, client: redis.Redis, tenant: str, generation: str) -> None:
        self._client = client
        self._keys = [names.fence(tenant, bucket, generation) for bucket in names.all_buckets()]

    def of(self, partitions: Sequence[Partition]) -> dict[Partition, list[int | None]]:
        """[16] per partition: each bucket's next offset; None where nothing of the partition was applied.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        if not partitions:
            return {}
        pipeline = self._client.pipeline(transaction=False)
        for key in self._keys:
            pipeline.hmget(key, [partition.field for partition in partitions])
        with redis_errors():
            rows = pipeline.execute()
        numbers = ([None if value is None else int(value) for value in column] for column in zip(*rows, strict=True))
        return dict(zip(partitions, numbers, strict=True))

    def all(self) -> dict[Partition, list[int | None]]:
        """[16] per partition that any bucket knows.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        found: dict[Partition, list[int | None]] = defaultdict(lambda: [None] * BUCKETS)
        for bucket, fields in enumerate(self._fields()):
            for name, value in fields.items():
                if "!" not in name:
                    found[Partition.parse(name)][bucket] = int(value)
        return dict(found)

    def counters(self) -> dict[str, TopicCounters]:
        """Per topic what was applied, twice, or dead, over all incarnations.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        totals: dict[str, TopicCounters] = defaultdict(TopicCounters)
        for fields in self._fields():
            for name, value in fields.items():
                head, mark, counter = name.partition("!")
                if mark and head:
                    topic = totals[Partition.parse(head).topic]
                    setattr(topic, counter, getattr(topic, counter) + int(value))
        for partition, offsets in self.all().items():
            totals[partition.topic].next_offsets[partition] = min(offset or 0 for offset in offsets)
        return dict(totals)

    def _fields(self) -> list[dict[str, str]]:
        pipeline = self._client.pipeline(transaction=False)
        for key in self._keys:
            pipeline.hgetall(key)
        with redis_errors():
            hashes = pipeline.execute()
        return [{name.decode(): value.decode() for name, value in fields.items()} for fields in hashes]
