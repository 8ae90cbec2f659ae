"""What a protocol found, as JSON and as lines for people."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from snowmelt.evaluation import metrics
from snowmelt.evaluation.bootstrap import interval, paired
from snowmelt.evaluation.metrics import Rankings
from snowmelt.evaluation.retail_month import BASELINES, FIRST_BASELINE, OURS, PLACES, Month

K = 10
HISTORIES = (("1-5", 1, 5), ("6-50", 6, 50), ("51+", 51, 10**9))


def retail_month(months: list[Month], items: int) -> dict[str, Any]:
    """NDCG@10 with interval, Recall@20, HR@10, coverage@10 of every method, by month and slice; ours against all."""
    methods = sorted(months[0].lists, key=lambda method: (method != OURS, method))
    found = {method: _joined([month.rankings(method) for month in months]) for method in methods}
    gains = {method: metrics.ndcg(found[method], K) for method in methods}
    return {
        "protocol": "retail-month",
        "months": [month.name for month in months],
        "queries": len(found[OURS]),
        "methods": {method: _figures(found[method], gains[method], months, method, items) for method in methods},
        "snowmelt_minus": {
            method: paired(gains[OURS], gains[method]).as_dict() for method in methods if method != OURS
        },
        "slices": {"user history": _by_history(months, gains), "item first sold": _by_age(months, methods)},
    }


def _joined(parts: list[Rankings]) -> Rankings:
    return Rankings(
        np.concatenate([p.keys for p in parts]),
        np.concatenate([p.hits for p in parts]),
        np.concatenate([p.relevant for p in parts]),
    )


def _figures(
    of: Rankings, gains: npt.NDArray[np.float64], months: list[Month], method: str, items: int
) -> dict[str, Any]:
    by_month = {m.name: round(float(metrics.ndcg(m.rankings(method), K).mean()), 4) for m in months}
    return {
        "ndcg_at_10": interval(gains).as_dict(),
        "recall_at_20": round(float(metrics.recall(of, PLACES).mean()), 4),
        "hit_rate_at_10": round(float(metrics.hit_rate(of, K).mean()), 4),
        "coverage_at_10": round(metrics.coverage(of, K, items), 4),
        "ndcg_at_10_by_month": by_month,
    }


def _by_history(months: list[Month], gains: dict[str, npt.NDArray[np.float64]]) -> dict[str, Any]:
    """NDCG@10 by how many items a user had bought before."""
    history = np.concatenate([month.history for month in months])
    slices: dict[str, Any] = {}
    for name, low, high in HISTORIES:
        mine = (history >= low) & (history <= high)
        means = {method: round(float(values[mine].mean()), 4) for method, values in gains.items()} if mine.any() else {}
        slices[name] = {"queries": int(mine.sum()), "ndcg_at_10": means}
    return slices


def _by_age(months: list[Month], methods: list[str]) -> dict[str, Any]:
    """Of the bought items that were first sold within the month, or before it, the share found among the first 20."""
    slices: dict[str, Any] = {}
    for name, wanted in (("within the month", True), ("before the month", False)):
        truths = [(m, [t[np.isin(t, m.new_keys) == wanted] for t in m.queries.truths]) for m in months]
        total = sum(len(t) for _, each in truths for t in each)
        shares = {}
        for method in methods:
            hits = sum(np.isin(t, a).sum() for m, each in truths for t, a in zip(each, m.lists[method], strict=True))
            shares[method] = round(float(hits) / total, 4) if total else 0.0
        slices[name] = {"bought": total, "found_among_20": shares}
    return slices


def lines(document: dict[str, Any]) -> Iterator[str]:
    """The document as a table."""
    yield f"retail-month over {', '.join(document['months'])}: {document['queries']:,} user-months"
    yield f"{'method':<28} {'NDCG@10':>8} {'95 % interval':>17} {'Recall@20':>10} {'HR@10':>7} {'coverage':>9}"
    for method, found in document["methods"].items():
        each = found["ndcg_at_10"]
        span = f"{each['low']:.4f} - {each['high']:.4f}"
        rest = f"{found['recall_at_20']:>10.4f} {found['hit_rate_at_10']:>7.4f} {found['coverage_at_10']:>9.4f}"
        yield f"{method:<28} {each['mean']:>8.4f} {span:>17} {rest}"
    for name in (*BASELINES, FIRST_BASELINE):
        each = document["snowmelt_minus"][name]
        yield f"snowmelt - {name}: {each['mean']:+.4f} [{each['low']:+.4f}, {each['high']:+.4f}]"
