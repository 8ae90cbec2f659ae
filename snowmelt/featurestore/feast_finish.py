"""Online state -> values for Feast's callers: one read of Redis, one ``finish``; follows views and generations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import BUCKETS, entity_bucket
from snowmelt.features.views import CompiledView, CompiledViews, Values
from snowmelt.featurestore import names as key_names
from snowmelt.featurestore.connection import redis_errors
from snowmelt.featurestore.feast_pins import current_pins
from snowmelt.featurestore.generations import check_views
from snowmelt.featurestore.store import READ_KEYS_MAX, StateStore


class Finisher:
    """Reads views of one tenant.

    Args:
        url: Redis.
        views_path: the compiled views; read again where the file has changed.
        tenant: whose state.
        clock: its now is the instant that is read at, unless one is pinned.
    """

    def __init__(self, url: str, views_path: Path, tenant: str, clock: Clock) -> None:
        self._url, self._views_path, self._tenant, self._clock = url, views_path, tenant, clock
        self._written_ns = -1
        self._state: StateStore | None = None

    def as_of_ms(self) -> int:
        """The instant of a read that begins now."""
        pinned = current_pins().as_of_ms
        return self._clock.now_ms() if pinned is None else pinned

    def read(self, view: str, entities: Sequence[str], as_of_ms: int, names: Sequence[str]) -> Values:
        """The named features of n entities, finished at ``as_of_ms``.

        Raises:
            SnowmeltError: UNAVAILABLE where Redis does not answer; FEATURES_MISMATCH where there are no compiled views,
                or other views wrote the state.
        """
        state = self._store()
        return self._compiled(state.views, view).finish(_read(state, view, entities), as_of_ms, names)

    def _store(self) -> StateStore:
        try:
            written_ns = self._views_path.stat().st_mtime_ns
        except FileNotFoundError:
            written_ns = 0
        if self._state is None or written_ns != self._written_ns:
            self._state = StateStore(self._url, CompiledViews.load(self._views_path), tenant=self._tenant)
            self._written_ns = written_ns
        return self._state

    def _compiled(self, views: CompiledViews, view: str) -> CompiledView:
        if view not in views.views:
            detail = f"{view} is not among the compiled views: run `feast apply`"
            raise SnowmeltError(Reason.FEATURES_MISMATCH, detail, field=view)
        return views.views[view]


def _read(state: StateStore, view: str, entities: Sequence[str]) -> list[bytes | None]:
    """n packed states of the live generation; the pointers of their buckets come last, in the same round trip.

    Raises:
        SnowmeltError: UNAVAILABLE; FEATURES_MISMATCH where other views wrote it.
    """
    buckets = [entity_bucket(state.tenant, entity) for entity in entities]
    pointers = [key_names.pointer_copy(state.tenant, bucket) for bucket in set(buckets)]
    while True:
        generation = state.generation
        prefixes = [key_names.state_prefix(state.tenant, bucket, generation, view) for bucket in range(BUCKETS)]
        keys = [prefixes[bucket] + entity for bucket, entity in zip(buckets, entities, strict=True)]
        with redis_errors():
            found = _mget(state.client, keys + pointers)
        if all(live == generation.encode() for live in found[len(keys) :]):
            check_views(generation, state.views.hash)
            return found[: len(keys)]
        state.follow()


def _mget(client: redis.Redis, keys: list[str]) -> list[Any]:
    """The keys of all buckets together: a command a bucket, which a cluster would need, costs a third more."""
    if len(keys) <= READ_KEYS_MAX:  # a pipeline costs as much again as the command
        return list(client.mget(keys)) if keys else []
    pipeline = client.pipeline(transaction=False)
    for start in range(0, len(keys), READ_KEYS_MAX):
        pipeline.mget(keys[start : start + READ_KEYS_MAX])
    return [value for values in pipeline.execute() for value in values]
