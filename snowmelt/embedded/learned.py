"""Which release the embedded system answers with and how good it is, or why it answers with none."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.features.views import CompiledViews
from snowmelt.releases.layout import ranking_schema
from snowmelt.releases.store import ReleaseStore
from snowmelt.runtime.config import Settings

POPULAR, UNRANKED = "the answers are popular items", "the answers are in the order of retrieval"


class Lacking(NamedTuple):
    """Why no release ranks, and what the answers are instead."""

    reason: str
    answers: str


def lacking(settings: Settings) -> Lacking | None:
    """Why the active release cannot rank what is made here; None where it can.

    Raises:
        SnowmeltError: RELEASE_INVALID where the pointer is damaged; FEATURES_MISMATCH where there are no views.
    """
    releases = ReleaseStore(settings.releases_url)
    active = releases.active().release_id
    if active is None:
        return Lacking("no release is active", POPULAR)
    try:
        manifest = releases.verify(active)
    except SnowmeltError as wrong:
        return Lacking(f"release {active} cannot be used ({wrong.detail})", POPULAR)
    views = CompiledViews.load(settings.views_path)
    if manifest.origin.feature_list_hash != ranking_schema(views).features.hash or not manifest.is_of(views):
        return Lacking(f"release {active} was trained on other features than are made here", UNRANKED)
    return None


def quality(settings: Settings) -> list[str]:
    """How good the active release was where it was judged: NDCG@10 with its interval, beside popularity."""
    releases = ReleaseStore(settings.releases_url)
    active = releases.active().release_id or ""
    lines = figures(releases.verify(active).origin.metrics)
    return [f"  release      {active}", *(f"  NDCG@10      {line}" for line in lines)]


def figures(metrics: Mapping[str, float]) -> Iterator[str]:
    """A release's NDCG@10 and popularity's, each with its interval, as far as the release has them."""
    for name in ("release", "popularity_7d", "popularity_28d"):
        found = [metrics.get(f"ndcg_at_10.{name}{end}") for end in ("", ".low", ".high")]
        mean, low, high = (math.nan if each is None else each for each in found)
        if not math.isnan(mean):
            yield f"{name:<15} {mean:.4f}  [{low:.4f}, {high:.4f}]"
