"""What changed in some views since one looked last: the change logs of all buckets, read in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import redis

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import BUCKETS
from snowmelt.featurestore import names
from snowmelt.featurestore.connection import redis_errors

READ_KEYS_MAX = 1000

_Chunk = tuple[str, int, list[str]]
_Life = tuple[str, str, str, tuple[bytes, ...]]


@dataclass(frozen=True)
class Changes:
    """The newest states of the entities that changed.

    Attributes:
        generation: which the states are of; "" where the store is empty.
        reset: these are all states there are, and what was read before is void.
        states: by view, (entity, packed state).
    """

    generation: str
    reset: bool
    states: Mapping[str, Sequence[tuple[str, bytes]]] = field(default_factory=dict)


class ChangeFeed:
    """Follows views through generations, restarts and losses of Redis; one thread at a time.

    A loss is seen by what cannot be otherwise: another generation, another run of the server, another history that it
    replicates (both change at a failover), another epoch of a bucket (a token that its first write leaves) or a
    sequence that fell. Then everything is read anew.
    """

    def __init__(
        self,
        client: redis.Redis,
        views: Sequence[str],
        tenant: str,
        admit: Callable[[str], object] = lambda _generation: None,
    ) -> None:
        """``admit`` is asked before states of a generation are read; what it raises, ``poll`` does."""
        self._client, self._views, self._tenant, self._admit = client, tuple(views), tenant, admit
        self._life: _Life | None = None
        self._read_up_to = {view: [0] * BUCKETS for view in self._views}

    def poll(self, views: Sequence[str] = ()) -> Changes:
        """What changed of some of the views (none named: of all) since the last call for them; everything at first.

        After a loss it is everything of all views, whichever were named.

        Raises:
            SnowmeltError: UNAVAILABLE, or what ``admit`` says; then nothing is lost, the next call gives it.
        """
        with redis_errors():
            life, sequences = self._look()
            generation = life[0]
            self._admit(generation)
            reset = life != self._life or any(
                fell for read in self._read_up_to.values() for fell in map(int.__lt__, sequences, read)
            )
            since = dict.fromkeys(self._views, [0] * BUCKETS) if reset else self._read_up_to
            wanted = self._views if reset or not views else views
            asked = [
                (view, bucket)
                for bucket in names.all_buckets()
                for view in wanted
                if sequences[bucket] > since[view][bucket]
            ]
            states = self._states(generation, self._entities(generation, asked, since))
            if asked and self._pointer() != generation:
                # Its keys may have gone while they were read.
                raise SnowmeltError(Reason.UNAVAILABLE, "the online store was exchanged while it was read")
        self._life, self._read_up_to = life, since | dict.fromkeys(wanted, sequences)
        return Changes(generation, reset, states)

    def forget(self) -> None:
        """Makes the next ``poll`` give everything."""
        self._life = None

    def _pointer(self) -> str:
        pointer = self._client.get(names.POINTER)
        return pointer.decode() if isinstance(pointer, bytes) else ""

    def _look(self) -> tuple[_Life, list[int]]:
        generation = self._pointer()
        pipeline = self._client.pipeline(transaction=False)
        pipeline.info("server")
        pipeline.info("replication")
        for bucket in names.all_buckets():
            pipeline.get(names.sequence(self._tenant, bucket, generation))
            pipeline.hget(names.fence(self._tenant, bucket, generation), names.EPOCH)
        server, replication, *answers = pipeline.execute()
        epochs = tuple(answer or b"" for answer in answers[1::2])
        # What stands between may keep either to itself.
        life = (generation, str(server.get("run_id")), str(replication.get("master_replid")), epochs)
        return life, [int(answer or 0) for answer in answers[::2]]

    def _entities(
        self, generation: str, asked: Sequence[tuple[str, int]], since: Mapping[str, Sequence[int]]
    ) -> list[_Chunk]:
        pipeline = self._client.pipeline(transaction=False)
        for view, bucket in asked:
            key = names.changes(self._tenant, bucket, generation, view)
            pipeline.zrangebyscore(key, f"({since[view][bucket]}", "+inf")
        found = pipeline.execute() if asked else []
        return [
            (view, bucket, [entity.decode() for entity in entities])
            for (view, bucket), entities in zip(asked, found, strict=True)
        ]

    def _states(self, generation: str, found: Sequence[_Chunk]) -> dict[str, list[tuple[str, bytes]]]:
        states: dict[str, list[tuple[str, bytes]]] = {view: [] for view in self._views}
        chunks = [
            (view, bucket, entities[start : start + READ_KEYS_MAX])
            for view, bucket, entities in found
            for start in range(0, len(entities), READ_KEYS_MAX)
        ]
        for part in _together(chunks):
            pipeline = self._client.pipeline(transaction=False)
            for view, bucket, entities in part:
                prefix = names.state_prefix(self._tenant, bucket, generation, view)
                pipeline.mget([prefix + entity for entity in entities])
            for (view, _, entities), values in zip(part, pipeline.execute(), strict=True):
                states[view] += [(e, v) for e, v in zip(entities, values, strict=True) if isinstance(v, bytes)]
        return states


def _together(chunks: Sequence[_Chunk]) -> Iterator[list[_Chunk]]:
    """The chunks in runs of about READ_KEYS_MAX keys, each of which is one round trip."""
    run: list[_Chunk] = []
    for chunk in chunks:
        run.append(chunk)
        if sum(len(entities) for _, _, entities in run) >= READ_KEYS_MAX:
            yield run
            run = []
    if run:
        yield run
