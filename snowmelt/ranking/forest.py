"""A LightGBM text model as flat nodes: what the quick traversal walks.

The form of the text and the meaning of ``decision_type`` are LightGBM's own (``src/io/tree.cpp``,
``Tree::NumericalDecision``): bit 0 categorical, bit 1 default left, bits 2 and 3 the missing type.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

DEFAULT_LEFT = 2
MISSING_ZERO, MISSING_NAN = 1, 2
LARGEST = np.finfo(np.float32).max
N = TypeVar("N", int, float)
NODE = np.dtype([("threshold", np.float32), ("column", np.int32), ("left", np.int32)])


class UnsupportedModelError(Exception):
    """The model uses something that the quick traversal does not walk; the message names it."""


@dataclass(frozen=True)
class Forest:
    """T trees with M nodes in all, over F features read as float32.

    A row is walked as 2F columns: the features with what is missing as minus infinity (which goes left), then once more
    with what is missing as infinity (which goes right). A node compares one of them with its threshold, rounded down to
    float32, which decides every float32 as the float64 did: at most the threshold goes left. The right child stands
    behind the left one; a leaf is its own left child and its threshold is infinity.

    Attributes:
        roots: int32[T], each tree's first node.
        nodes: NODE[M].
        values: float64[M], the output of a leaf, else 0.
    """

    roots: npt.NDArray[np.int32]
    nodes: npt.NDArray[Any]
    values: npt.NDArray[np.float64]


def parse(model: str) -> Forest:
    """The trees of a LightGBM text model.

    Raises:
        UnsupportedModelError: categorical splits, linear leaves, zero as missing, several trees an iteration, averaged
            output, a threshold beyond float32.
        ValueError, KeyError, IndexError: the text is damaged: a node that is no tree's, a feature that is not there.
    """
    header, *blocks = model.split("\nTree=")
    fields = _fields(header)
    if fields.get("num_tree_per_iteration") != "1":
        raise UnsupportedModelError("more than one tree an iteration")
    if "average_output" in header.splitlines():
        raise UnsupportedModelError("averaged output")
    features = int(fields["max_feature_idx"]) + 1
    roots: list[int] = []
    rows: list[tuple[float, int, int]] = []
    values: list[float] = []
    for block in blocks:
        roots.append(len(rows))
        _add_tree(_fields(block.partition("\nend of trees")[0]), features, rows, values)
    return Forest(np.array(roots, np.int32), np.array(rows, NODE), np.array(values, np.float64))


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _add_tree(fields: dict[str, str], features: int, rows: list[tuple[float, int, int]], values: list[float]) -> None:
    """Appends one tree in breadth-first order, so that siblings stand side by side."""
    if fields.get("num_cat", "0") != "0":
        raise UnsupportedModelError("categorical splits")
    if fields.get("is_linear", "0") != "0":
        raise UnsupportedModelError("linear leaves")
    column, decision = _numbers(fields, "split_feature", int), _numbers(fields, "decision_type", int)
    left, right = _numbers(fields, "left_child", int), _numbers(fields, "right_child", int)
    threshold, output = _numbers(fields, "threshold", float), _numbers(fields, "leaf_value", float)
    if not len(column) == len(decision) == len(left) == len(right) == len(threshold) == len(output) - 1:
        raise ValueError("the parts of a tree differ in length")
    if any(not 0 <= one < features for one in column):
        raise ValueError("a tree reads a feature that is not there")
    first = len(rows)
    order = [0 if column else ~0]
    for place, node in enumerate(order):
        if place > 2 * len(column):
            raise ValueError("the nodes of a tree go round in circles")
        if node < 0:
            rows.append((np.inf, 0, first + place))
            values.append(output[~node])
            continue
        shift = features if _missing_goes_right(decision[node], threshold[node]) else 0
        rows.append((_rounded_down(threshold[node]), column[node] + shift, first + len(order)))
        values.append(0.0)
        order += [left[node], right[node]]


def _numbers(fields: dict[str, str], name: str, kind: Callable[[str], N]) -> list[N]:
    return [kind(word) for word in fields.get(name, "").split()]


def _missing_goes_right(decision: int, threshold: float) -> bool:
    missing = decision >> 2 & 3
    if missing == MISSING_ZERO:
        raise UnsupportedModelError("zero as missing")
    if missing == MISSING_NAN:
        return not decision & DEFAULT_LEFT
    return not threshold >= 0.0


def _rounded_down(threshold: float) -> float:
    """The greatest float32 that is at most ``threshold``; the walk reads infinity as the largest number."""
    if np.isinf(threshold):
        return float(np.copysign(LARGEST, threshold)) if threshold > 0 else -np.inf
    if threshold >= float(LARGEST):
        raise UnsupportedModelError("a threshold beyond float32")
    near = np.float32(threshold)
    return float(near) if float(near) <= threshold else float(np.nextafter(near, np.float32(-np.inf)))
