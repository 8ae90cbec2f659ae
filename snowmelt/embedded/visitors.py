"""Whom the first answers are for: users of the loaded data, or its sessions where it knows no user."""

from typing import NamedTuple

import pyarrow.compute as pc

from snowmelt.lake import Lake

NEWCOMER = "newcomer"
"""The session that is asked for where nobody has done anything yet."""


class Visitor(NamedTuple):
    """A user or an anonymous session; the other one is empty."""

    user_id: str = ""
    session_id: str = ""


def visitors(lake: Lake, count: int) -> list[Visitor]:
    """So many visitors, spread over those of the lake's events, in a fixed order; again from the first where fewer are.

    Raises:
        SnowmeltError: UNAVAILABLE; NOT_FOUND where there is no lake.
    """
    users, sessions = (_ids(lake, column) for column in ("user_id", "session_id"))
    found = [Visitor(user) for user in users] or [Visitor(session_id=session) for session in sessions or (NEWCOMER,)]
    step = max(1, len(found) // count)
    return [found[(step * i) % len(found)] for i in range(count)]


def _ids(lake: Lake, column: str) -> list[str]:
    return sorted(filter(None, pc.unique(lake.read("events", columns=[column])[column]).to_pylist()))
