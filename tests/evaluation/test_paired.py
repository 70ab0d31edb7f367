"""Paired intervals of differences, against the intervals of each and a bootstrap that repeats rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import detection_at_threshold
from imgloc.evaluation.paired import compare
from imgloc.evaluation.statistics import bootstrap_weights
from tests.detection.coco_oracle import random_rows
from tests.refusals import assert_refused

CLASSES = ("a", "b", "c", "d")


def pair(images: int = 30) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows, and the same with boxes that are too low."""
    rows = [{**row, "group": f"g{i // 2}"} for i, row in enumerate(random_rows(np.random.default_rng(6), images))]
    cut = [{**row, "detected_boxes": [[x0, y0, x1, y0 + 0.8 * (y1 - y0)] for x0, y0, x1, y1 in row["detected_boxes"]]} for row in rows]
    return rows, cut


def test_the_difference_of_a_run_with_itself_is_0() -> None:
    rows, other = pair()
    same = compare(rows, rows[::-1], CLASSES, None, samples=50)
    assert same.first == same.second
    assert {(each.mean, each.low, each.high) for each in same.differences.values()} == {(0.0, 0.0, 0.0)}
    assert compare(rows, other, CLASSES, None, samples=50).differences["ap"].high < 0, "rows that differ have a difference"


def test_both_have_their_own_intervals_too() -> None:
    rows, other = pair()
    found = compare(rows, other, CLASSES, None, samples=100)
    assert found.first == scoring.intervals(rows, CLASSES, None, samples=100)
    assert found.second == scoring.intervals(other, CLASSES, None, samples=100)
    assert set(found.differences) == set(found.first) & set(found.second)
    for key, difference in found.differences.items():
        assert difference.mean == pytest.approx(found.second[key].mean - found.first[key].mean, abs=1e-12), key
    widths = [each["ap"].high - each["ap"].low for each in found]
    assert widths[2] < min(widths[:2]), "what the images have in common cancels"


@pytest.mark.parametrize("key", ["f1", "recall"])
def test_each_sample_draws_the_same_groups_for_both(key: str) -> None:
    rows, other = pair()
    weights_rxg, group_n = bootstrap_weights([row["group"] for row in rows], samples=20, seed=scoring.BOOTSTRAP_SEED)
    drawn = []
    for weight_g in weights_rxg:
        repeats = [int(weight_g[group]) for group in group_n]
        repeated = [[row for row, times in zip(each, repeats, strict=True) for _ in range(times)] for each in (rows, other)]
        (top, bottom), (other_top, other_bottom) = (detection_at_threshold.statistics(each)[key].sum(axis=0) for each in repeated)
        drawn.append(other_top / other_bottom - top / bottom)
    found = compare(rows, other, CLASSES, None, samples=20).differences[key]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    assert found.low < found.high


def test_rows_of_other_examples_are_refused() -> None:
    rows, other = pair(6)
    renamed = [{**row, "id": f"x{row['id']}"} for row in other]
    regrouped = [{**row, "group": "all"} for row in other]
    for wrong in (renamed, regrouped, other[1:], []):
        assert_refused(lambda wrong=wrong: compare(rows, wrong, CLASSES, None, samples=5), "same examples")
    assert_refused(lambda: compare([], [], CLASSES, None, samples=5), "same examples")
