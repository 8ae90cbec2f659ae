"""The online store: states in Redis, written through a fence, each partition exactly once per bucket."""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import groupby
from operator import itemgetter

import redis
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import BUCKETS, DEFAULT_TENANT, entity_bucket
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore import names
from snowmelt.featurestore.append_only import AppendOnlyFile
from snowmelt.featurestore.connection import DEMOTED, answers, check_server, connect, redis_errors
from snowmelt.featurestore.fences import Fences, Partition
from snowmelt.featurestore.generations import Generations, check_views
from snowmelt.featurestore.sections import pack_spec

READ_KEYS_MAX = 1000
"""Keys of one MGET: Redis serves nobody else meanwhile."""

_REFUSED = re.compile(r": -([A-Z]+) ")
"""What a command within a script was refused for, as Redis 6 says it; Redis 7 has it in front, as of any command."""

SCRIPTS = ("kinds.lua", "merge.lua", "apply.lua")


@dataclass(frozen=True)
class Counters:
    """What became of the records of a range: each is counted in one bucket, the same one at every replay."""

    applied: int = 0
    duplicates: int = 0
    dead: int = 0


@dataclass(frozen=True)
class PartitionRange:
    """A partition's records [from_offset, to_offset), as far as they concern one bucket.

    Attributes:
        from_offset: the bucket's fence as the writer knows it; 0 where the bucket never had one.
    """

    partition: Partition
    from_offset: int
    to_offset: int
    counters: Counters = field(default_factory=Counters)


@dataclass(frozen=True)
class BucketWrite:
    """What some ranges, each of another partition, come to in one bucket.

    Attributes:
        deltas: (index of the view in the compiled views, entity, folded state), an entity once a view.
    """

    bucket: int
    ranges: Sequence[PartitionRange]
    deltas: Sequence[tuple[int, str, bytes]] = ()


class StateStore:
    """Reads and writes states of one generation; ``follow`` moves to the live one. Not for several threads at once."""

    def __init__(
        self,
        url: str,
        views: CompiledViews,
        generation: str | None = None,
        tenant: str = DEFAULT_TENANT,
        timeout_s: float = 5.0,
    ) -> None:
        self.views = views
        self.tenant = tenant
        self.client: redis.Redis = connect(url, timeout_s)
        self.generations = Generations(self.client, tenant)
        self.append_only_file = AppendOnlyFile(self.client)
        self._url = url
        self._generation = generation
        self._view_names = tuple(views.views)
        self._specs = tuple(pack_spec(view.sections) for view in views.views.values())
        self._script = "\n".join(resources.files(__package__).joinpath(name).read_text() for name in SCRIPTS)
        self._sha = ""

    def check(self) -> None:
        """What a process does at its start: refuses a Redis that evicts, and state that other views wrote.

        Raises:
            ConfigError: Redis may evict.
            SnowmeltError: UNAVAILABLE, FEATURES_MISMATCH.
        """
        check_server(self.client, self._url)
        check_views(self.generation, self.views.hash)

    @property
    def generation(self) -> str:
        """The generation that this store reads and writes; at first the live one, made where there is none."""
        if self._generation is None:
            self._generation = self.generations.ensure(self.views.hash)
        return self._generation

    def current_generation(self) -> str | None:
        """The live generation as Redis names it; None where the store is empty."""
        return self.generations.current()

    def follow(self) -> bool:
        """Moves to the live generation; true where it is another than before: read its fences and seek.

        Raises:
            SnowmeltError: UNAVAILABLE; FEATURES_MISMATCH where other views wrote it: load the views again.
        """
        live = self.generations.ensure(self.views.hash)
        check_views(live, self.views.hash)
        moved = live != self._generation
        self._generation = live
        return moved

    @property
    def fence_table(self) -> Fences:
        """The fences and counters of this store's generation."""
        return Fences(self.client, self.tenant, self.generation)

    def fences(self, incarnation: str, topic: str, partition: int) -> list[int | None]:
        """[16]: each bucket's next offset of a partition; None where nothing of it was applied.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        asked = Partition(incarnation, topic, partition)
        return self.fence_table.of([asked])[asked]

    def apply(self, writes: Sequence[BucketWrite]) -> list[list[int]]:
        """Applies each write of which every range begins at its fence, all of it or nothing of it.

        Returns the fences of each write's ranges afterwards: each ``to_offset`` where the write is in; else what is
        stored, above ``from_offset`` where the range was applied before, below it where records are missing, and at it
        where another range was refused. Sending a write again is safe, also after an answer was lost.

        Raises:
            SnowmeltError: UNAVAILABLE; INTERNAL where a state is damaged and cannot be merged.
        """
        epoch = uuid.uuid4().hex
        with redis_errors():
            try:
                return self._send(writes, epoch)
            except NoScriptError:
                self._sha = ""
                return self._send(writes, epoch)

    def _send(self, writes: Sequence[BucketWrite], epoch: str) -> list[list[int]]:
        sha = self._sha = self._sha or str(self.client.script_load(self._script))
        found = answers(self.client, lambda: (("EVALSHA", sha, *self._command(write, epoch)) for write in writes))
        for write, answer in zip(writes, found, strict=True):
            if isinstance(answer, Exception):
                raise self._failure(write, answer)
        return found

    def _failure(self, write: BucketWrite, error: Exception) -> Exception:
        """What a script's error means: a command was refused within it, or a state is damaged."""
        said = str(error)
        if said.startswith("DAMAGED "):
            state = said.removeprefix("DAMAGED ")
            detail = (
                f"the state {state} is damaged, and nothing of the write into bucket {write.bucket} was applied: "
                "`snowmelt rebuild online` makes the states anew"
            )
            return SnowmeltError(Reason.INTERNAL, detail)
        refused = _REFUSED.search(said)
        if isinstance(error, ReadOnlyError) or (refused and refused[1] == "READONLY"):
            self.client.connection_pool.disconnect()  # the same address may lead to the new primary
            return SnowmeltError(Reason.UNAVAILABLE, DEMOTED)
        if refused and refused[1] == "OOM":
            return OutOfMemoryError(said)
        return error

    def _command(self, write: BucketWrite, epoch: str) -> list[bytes | str | int]:
        place = (self.tenant, write.bucket, self.generation)
        keys: list[bytes | str | int] = [names.fence(*place), names.sequence(*place)]
        ranges: list[bytes | str | int] = []
        for each in write.ranges:
            counters = each.counters
            ranges += (each.partition.field, each.from_offset, each.to_offset)
            ranges += (counters.applied, counters.duplicates, counters.dead)
        heads: list[bytes | str | int] = []
        states: list[bytes | str | int] = []
        deltas: list[bytes | str | int] = []
        views = 0
        for view, some in groupby(sorted(write.deltas, key=itemgetter(0)), key=itemgetter(0)):
            _, entities, own = zip(*some, strict=True)
            if len(set(entities)) != len(entities):
                raise ValueError(f"an entity comes twice in a write into bucket {write.bucket}")
            prefix = names.state_prefix(*place, self._view_names[view])
            keys.append(names.changes(*place, self._view_names[view]))
            heads += (self._specs[view], len(prefix.encode()), len(entities))
            states += [prefix + entity for entity in entities]
            deltas += own
            views += 1
        keys += states
        return [len(keys), *keys, epoch, len(write.ranges), *ranges, views, *heads, *deltas]

    def read(self, view: str, entities: Sequence[str]) -> list[bytes | None]:
        """n packed states of a view, in order; None where an entity has none.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        rows_of: list[list[int]] = [[] for _ in range(BUCKETS)]
        for row, entity in enumerate(entities):
            rows_of[entity_bucket(self.tenant, entity)].append(row)
        pipeline = self.client.pipeline(transaction=False)
        asked: list[list[int]] = []
        for bucket, rows in enumerate(rows_of):
            prefix = names.state_prefix(self.tenant, bucket, self.generation, view)
            for chunk in _chunks(rows):
                pipeline.mget([prefix + entities[row] for row in chunk])
                asked.append(chunk)
        states: list[bytes | None] = [None] * len(entities)
        with redis_errors():
            answers = pipeline.execute() if asked else []
        for chunk, values in zip(asked, answers, strict=True):
            for row, value in zip(chunk, values, strict=True):
                states[row] = value
        return states

    def close(self) -> None:
        """Gives the connections back."""
        self.client.close()


def _chunks(rows: list[int]) -> Iterator[list[int]]:
    return (rows[start : start + READ_KEYS_MAX] for start in range(0, len(rows), READ_KEYS_MAX))
