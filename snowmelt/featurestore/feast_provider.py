"""Feast's own provider, except that it never copies a batch over what the stream has counted."""

from typing import Any

from feast import StreamFeatureView
from feast.infra.passthrough_provider import PassthroughProvider

from snowmelt.contracts.errors import Reason, SnowmeltError


class SnowmeltProvider(PassthroughProvider):
    """Refuses to materialize a stream feature view; everything else is Feast's pass-through provider."""

    def materialize_single_feature_view(self, config: Any, feature_view: Any, *args: Any, **kwargs: Any) -> None:
        """Materializes an ordinary feature view as Feast does.

        Raises:
            SnowmeltError: INVALID_FIELD for a stream feature view, with what to do instead.
        """
        if isinstance(feature_view, StreamFeatureView):
            raise refused(feature_view.name, "materialize")
        super().materialize_single_feature_view(config, feature_view, *args, **kwargs)


def refused(view: str, verb: str) -> SnowmeltError:
    """The error that answers a write to a stream feature view from the side."""
    return SnowmeltError(
        Reason.INVALID_FIELD,
        f"{verb} is refused for the stream feature view {view}: its state is counted exactly once from Kafka, and a "
        "write from the side would bypass the fence. Send events (`snowmelt event`, RecordEvents, or the topic); after "
        "a change of its definition run `feast apply` and `snowmelt rebuild online`",
        field=view,
    )
