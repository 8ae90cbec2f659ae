"""Every Prometheus metric of the house in one table; a service sets the ones that it knows."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0)

REQUESTS = Counter(
    "snowmelt_requests_total", "Answered calls by door (grpc, rest), method and reason (ok or an error's code).",
    ["door", "method", "reason"],
)  # fmt: skip
REQUEST_SECONDS = Histogram(
    "snowmelt_request_seconds", "Duration of a call, seconds.", ["door", "method"], buckets=_SECONDS
)
STAGE_SECONDS = Histogram(
    "snowmelt_stage_seconds", "Duration of one stage of the work, seconds.", ["stage"],
    buckets=(*_SECONDS, 20.0, 80.0, 320.0),
)  # fmt: skip
STAGE_ERRORS = Counter(
    "snowmelt_stage_errors_total", "Stages of work that failed; a lane does them again.",
    ["stage"],
)  # fmt: skip
DEGRADED = Counter(
    "snowmelt_degraded_answers_total",
    "Answers given without a stage, by that stage; one without two stages counts under each.", ["stage"],
)  # fmt: skip
IMPRESSIONS = Counter("snowmelt_impressions_total", "Slates logged to Kafka, by result (ok, failed).", ["result"])
RECORDS = Counter(
    "snowmelt_records_total", "Kafka records by lane, topic and result (applied, duplicate, dead).",
    ["lane", "topic", "result"],
)  # fmt: skip
LATE = Counter("snowmelt_late_events_total", "Events stored with the flag late.")
PAUSED = Gauge("snowmelt_lane_paused", "1 while a lane takes nothing, since too much of a topic is bad.",
               ["lane", "topic"])  # fmt: skip
PARTITIONS_PAUSED = Gauge(
    "snowmelt_paused_partitions", "Partitions not read now, since the sink has too much to do.", ["lane"]
)
PARTITION_PAUSES = Counter(
    "snowmelt_pauses_total", "How often a partition was paused since the sink had too much to do.", ["lane"]
)
LET_GO_SECONDS = Histogram(
    "snowmelt_let_go_seconds", "How long partitions that go to another process held the group up, seconds.", ["lane"],
    buckets=_SECONDS,
)  # fmt: skip
LAG_EVENTS = Gauge("snowmelt_lag_events", "Records produced and not yet in the lane's sink.", ["lane", "topic"])
LAG_SECONDS = Gauge("snowmelt_lag_seconds", "Age of the oldest record not yet in the lane's sink, seconds.", ["lane"])
FEATURE_AGE_SECONDS = Gauge(
    "snowmelt_feature_age_seconds",
    "How far a service's replica may be behind the online store, seconds; the store itself is behind the events by "
    "snowmelt_lag_seconds of the lane features.",
    ["service"],
)
DAMAGED_ITEMS = Gauge(
    "snowmelt_damaged_items", "Items whose state in the view cannot be read; the others are served.", ["view"]
)
RELEASE_AGE_SECONDS = Gauge(
    "snowmelt_release_age_seconds", "Age of the release that is served; NaN where none is, or it is not known.",
    ["service"],
)  # fmt: skip
RELEASES_REFUSED = Counter(
    "snowmelt_releases_refused_total", "How often a release that was activated could not be verified or opened.",
    ["service"],
)  # fmt: skip
RELEASE_INFO = Gauge("snowmelt_release_info", "1 for the release that is served.", ["service", "release_id"])


def say_release(service: str, release_id: str, age_s: float) -> None:
    """Sets the gauges of the release that is served; an empty id: none is."""
    RELEASE_INFO.clear()
    if release_id:
        RELEASE_INFO.labels(service, release_id).set(1)
    RELEASE_AGE_SECONDS.labels(service).set(age_s)
