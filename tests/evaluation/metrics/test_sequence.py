"""Sequences of labels against what was read, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from imgloc.evaluation.metrics import sequence


def test_labels_are_compared_from_left_to_right() -> None:
    left, right = [0.1, 0.5, 0.3, 0.6], [0.4, 0.1, 0.8, 0.9]  # the right one is the larger, and so stands first

    def row(read: list[int], boxes: list[list[float]], labels: list[int]) -> dict[str, Any]:
        return {"boxes": boxes, "labels": labels, "pred_labels": read}

    rows = [
        row([3, 7], [right, left], [7, 3]), row([7, 3], [right, left], [7, 3]), row([3, 1], [right, left], [7, 3]),
        row([3], [right, left], [7, 3]), row([3, 5], [left], [3]), row([1, 2], [], []),
    ]  # fmt: skip
    found = sequence.per_row(rows)
    np.testing.assert_array_equal(found["sequence_accuracy"], [1, 0, 0, 0, 1, math.nan])
    np.testing.assert_array_equal(found["label_accuracy"], [1, 0, 0.5, 0.5, 1, math.nan])
