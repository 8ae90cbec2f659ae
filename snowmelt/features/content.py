"""Bytes of catalogue changes -> items as columns."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from snowmelt.api.events.v1.events_pb2 import CatalogChange, ItemUpsert
from snowmelt.contracts.ids import item_keys
from snowmelt.contracts.items import ItemColumns
from snowmelt.features.ragged import Array


def columns(payloads: Sequence[bytes], first_upserts_ms: Array | None = None) -> ItemColumns:
    """The items of n raw CatalogChange messages, each the newest of its item.

    ``first_upserts_ms`` (n, NaN where unknown; the feature first_upsert) stands in for an absent available_from_ms;
    where both are absent the change's own time does. A withdrawn item keeps its id alone.
    """
    changes = [CatalogChange.FromString(p) for p in payloads]
    withdrawn = np.array([c.HasField("withdrawal") for c in changes], np.bool_)
    heads = [c.withdrawal if gone else c.upsert for c, gone in zip(changes, withdrawn.tolist(), strict=True)]
    upserts = [c.upsert for c in changes]
    ids = [h.item_id for h in heads]
    tenants = {h.tenant for h in heads}
    keys = np.empty(len(heads), np.uint64)
    for tenant in tenants:
        own = np.array([h.tenant == tenant for h in heads], np.bool_)
        keys[own] = item_keys(tenant, (i for i, mine in zip(ids, own.tolist(), strict=True) if mine))
    own_times = np.array([h.event_time_ms for h in heads], np.float64)
    first = own_times if first_upserts_ms is None else np.where(np.isnan(first_upserts_ms), own_times, first_upserts_ms)
    return ItemColumns(
        keys=keys,
        ids=ids,
        titles=[u.title for u in upserts],
        texts=[u.text for u in upserts],
        categories=[tuple(u.categories) for u in upserts],
        prices=np.array([u.price if u.HasField("price") else np.nan for u in upserts], np.float64),
        available_from_ms=_available(upserts, first),
        withdrawn=withdrawn,
    )


def _available(upserts: Sequence[ItemUpsert], first_ms: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    known = np.array([u.HasField("available_from_ms") for u in upserts], np.bool_)
    stated = np.array([u.available_from_ms for u in upserts], np.int64)
    return np.where(known, stated, first_ms.astype(np.int64))
