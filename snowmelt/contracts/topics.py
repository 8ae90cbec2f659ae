"""The topics by name, and which of them each lane reads."""

EVENTS = "snowmelt.events"
IMPRESSIONS = "snowmelt.impressions"
CATALOG = "snowmelt.catalog"
USERS = "snowmelt.users"
DEAD_LETTERS = "snowmelt.dead-letters"

LAKE_TOPICS = (EVENTS, IMPRESSIONS, CATALOG, USERS)
FEATURE_TOPICS = (EVENTS, IMPRESSIONS, CATALOG)
LANE_TOPICS = {"lake": LAKE_TOPICS, "features": FEATURE_TOPICS}

IMPRESSION_TYPE = "impression"
"""The event type under which each item of an impression is counted; no client may send it."""
