"""Whether a new release may become the active one."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from snowmelt.evaluation.bootstrap import Interval
from snowmelt.evaluation.global_time_split import BASELINE_DAYS, OURS, Split

ACTIVE = "active"
MARGIN = 0.05
"""So much of a rival's NDCG@10 a release may lack: what releases trained alike differ by on some hundred queries."""


@dataclass(frozen=True)
class Incumbent:
    """The active release, as far as it can be compared.

    Attributes:
        split: the new release and the active one on queries after all that the active one knows; None where there are
            too few of those, or where it cannot answer any more.
        recorded: the NDCG@10 that it had when it was published; None where that is not known.
        unservable: why no service could load it now; empty where one could.
    """

    split: Split | None = None
    recorded: float | None = None
    unservable: str = ""


@dataclass(frozen=True)
class Verdict:
    """``passed``, and why.

    Attributes:
        differences: by rival, of NDCG@10, ours minus theirs, with its 95 % interval.
        reasons: why it did not pass.
        notes: which comparison was not made, or did not count, and why.
    """

    passed: bool
    differences: dict[str, Interval]
    reasons: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


def decide(split: Split, active: Incumbent | None) -> Verdict:
    """A release passes where it is not worse than any rival: popularity over 7 and 28 days, and the active release.

    It is worse where its mean NDCG@10 lies more than ``MARGIN`` of the rival's mean below it, or where the whole
    interval of the difference lies below 0. The first alone would let a small loss through that is certain; the second
    alone lets any loss through that few queries leave uncertain. The margin keeps a release that differs from the
    active one by noise alone from being refused again and again. Small losses within it could add up from release to
    release; popularity is the floor that does not move with them.

    An active release that no service could load is compared as far as that goes, but keeps nothing out.

    Args:
        split: the new release and the popularity baselines.
        active: None where no release is active.
    """
    rivals = [f"popularity_{days}d" for days in BASELINE_DAYS]
    differences = {rival: split.against(OURS, rival) for rival in rivals}
    reasons = [reason for rival in rivals for reason in _worse(split, rival, differences[rival])]
    notes: list[str] = []
    if active is not None:
        against = []
        if active.split is not None:
            differences[ACTIVE] = active.split.against(OURS, ACTIVE)
            against = list(_worse(active.split, ACTIVE, differences[ACTIVE]))
        elif active.recorded is not None:
            against = list(_worse_than_recorded(split.interval(OURS), active.recorded))
        if not active.unservable:
            reasons += against
        notes += _notes(active)
    return Verdict(not reasons, differences, tuple(reasons), tuple(notes))


def _worse(split: Split, rival: str, found: Interval) -> Iterator[str]:
    theirs = float(split.ndcg(rival).mean())
    said = f"NDCG@10 is worse than {rival}: {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    if found.mean < -MARGIN * theirs:
        yield f"{said}, more than {MARGIN:.0%} of its {theirs:.4f}"
    elif found.high < 0:
        yield said


def _worse_than_recorded(ours: Interval, recorded: float) -> Iterator[str]:
    if ours.mean < (1 - MARGIN) * recorded or ours.high < recorded:
        yield (
            f"NDCG@10 is {ours.mean:.4f} [{ours.low:.4f}, {ours.high:.4f}], below the {recorded:.4f} of the active "
            "release, and there is nothing newer to compare them on"
        )


def _notes(active: Incumbent) -> Iterator[str]:
    recorded = "" if active.recorded is None else f"; its NDCG@10 was {active.recorded:.4f} when it was published"
    if active.unservable and active.split is not None:
        yield f"the active release was compared but kept nothing out, since {active.unservable}"
    elif active.unservable:
        yield f"compared with popularity only, not with the active release, since {active.unservable}{recorded}"
    elif active.split is None and active.recorded is None:
        yield (
            "compared with popularity only, not with the active release, since there is nothing newer to compare them "
            "on and its manifest names no NDCG@10"
        )
