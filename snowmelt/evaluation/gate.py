"""Whether a new release may become the active one."""

from dataclasses import dataclass, field

from snowmelt.evaluation.bootstrap import Interval
from snowmelt.evaluation.global_time_split import BASELINE_DAYS, OURS, Split

ACTIVE = "active"


@dataclass(frozen=True)
class Verdict:
    """``passed``, and why: for each rival the difference of NDCG@10 (ours minus theirs) with its 95 % interval."""

    passed: bool
    differences: dict[str, Interval]
    reasons: tuple[str, ...] = field(default=())


def decide(split: Split, active: Split | None, active_recorded: float | None) -> Verdict:
    """A release passes where it is not worse than any rival: no interval of a difference lies below 0 as a whole.

    Args:
        split: the new release and the popularity baselines.
        active: the new release and the active one on queries after all that the active one knows; None where there
            are too few of those.
        active_recorded: then the NDCG@10 that the active one had when it was published; None where none is active.
    """
    differences = {f"popularity_{days}d": split.against(OURS, f"popularity_{days}d") for days in BASELINE_DAYS}
    if active is not None:
        differences[ACTIVE] = active.against(OURS, ACTIVE)
    reasons = [
        f"NDCG@10 is worse than {rival}: {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
        for rival, found in differences.items()
        if found.high < 0
    ]
    if active is None and active_recorded is not None:
        ours = split.interval(OURS)
        if ours.high < active_recorded:
            reasons.append(
                f"NDCG@10 is {ours.mean:.4f} [{ours.low:.4f}, {ours.high:.4f}], below the {active_recorded:.4f} of the "
                "active release, and there is nothing newer to compare them on"
            )
    return Verdict(not reasons, differences, tuple(reasons))
