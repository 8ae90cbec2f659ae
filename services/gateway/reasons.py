"""Why an item is in a slate, in words for people."""

from dataclasses import dataclass

PERSONAL = frozenset({"vectors", "item_to_item", "content_neighbours"})
"""Retrieval's sources that start from the user's recent items, by their names on the wire."""
POPULARITY_CATEGORY = frozenset({"popularity_category_7d", "popularity_category_28d"})

OTHERWISE = "Chosen for you"
_SAID = {
    "popularity": "Popular now",
    "popularity_7d": "Popular this week",
    "popularity_28d": "Popular this month",
    **dict.fromkeys(POPULARITY_CATEGORY, "Popular in its category"),
    "new_items": "New in the catalogue",
}
_DID = {
    "view": "viewed",
    "click": "clicked",
    "add_to_cart": "put into the cart",
    "purchase": "bought",
    "rating": "rated",
    "like": "liked",
    "play": "played",
}
TITLE_MAX = 80


@dataclass(frozen=True)
class Cause:
    """What the user did, and with which item."""

    title: str
    type: str


def sentence(source: str, categories: tuple[str, ...], cause: Cause | None) -> str:
    """One sentence after the source that ranked the item highest and, for a personal one, the user's item behind it."""
    if source in PERSONAL and cause is not None:
        title = cause.title if len(cause.title) <= TITLE_MAX else cause.title[: TITLE_MAX - 1] + "…"
        return f"Because you {_DID.get(cause.type, 'chose')} {title}"
    if source in POPULARITY_CATEGORY and categories:
        return f"Popular in {categories[0]}"
    return _SAID.get(source, OTHERWISE)
