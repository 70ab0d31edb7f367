"""Groups of runs, from rows to verdicts, against SciPy and formulas on the same numbers."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.stats

from imgloc.config.registry import declared
from imgloc.evaluation import scoring
from imgloc.evaluation.group_comparison import GroupComparison, compare_groups
from imgloc.evaluation.paired import compare
from imgloc.evaluation.permutation import holm
from imgloc.evaluation.statistics import t_interval
from imgloc.interfaces import Task
from imgloc.reporting.comparison_tables import comparison_table, records
from tests.detection.coco_oracle import random_rows
from tests.refusals import assert_refused

CLASSIFY, DETECT = (declared("tasks", name, Task) for name in ("classify", "detect"))
Rows = list[dict[str, Any]]


def rows_of(correct_n: np.ndarray, *, images_of_a_group: int = 1) -> Rows:
    return [
        {"id": f"{i:03d}", "group": f"g{i // images_of_a_group:03d}", "split": "test", "label": 0, "top_labels": [0 if each else 1]}
        for i, each in enumerate(correct_n)
    ]


def drawn(share: float, runs: int, seed: int, n: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).random((runs, n)) < share


def compared(*correct: np.ndarray, **options: Any) -> GroupComparison:
    groups = {"abc"[i]: [rows_of(run) for run in each] for i, each in enumerate(correct)}
    return compare_groups(groups, ("x", "y"), CLASSIFY, **{"samples": 2000, **options})


def test_values_and_intervals_are_those_of_each_method() -> None:
    a, b = drawn(0.6, 3, 0), drawn(0.9, 4, 1)
    found = compared(a, b)
    assert (found.over, found.images, dict(found.runs)) == ("both", 60, {"a": 3, "b": 4})
    level = found.levels["top1"]["b"]
    means = b.mean(axis=1)
    assert level.values == pytest.approx(tuple(means))
    seeds = t_interval(means.tolist())
    assert (level.intervals["seeds"].low, level.intervals["seeds"].high) == pytest.approx((seeds.low, min(seeds.high, 1.0)))
    of_images = scipy.stats.bootstrap((b.mean(axis=0),), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(0))
    assert level.intervals["images"].low == pytest.approx(of_images.confidence_interval.low, abs=0.01)
    assert level.intervals["images"].high == pytest.approx(of_images.confidence_interval.high, abs=0.01)
    assert level.interquartile_mean is not None
    assert level.interquartile_mean.mean == pytest.approx(scipy.stats.trim_mean(means, 0.25))
    difference = found.differences["top1"]["b"]
    assert difference.value == pytest.approx(means.mean() - a.mean())
    assert difference.verdict == "better"


def test_the_p_value_over_images_is_scipys_of_the_differences_of_images() -> None:
    a, b = drawn(0.7, 2, 2, n=10), drawn(0.9, 3, 3, n=10)
    found = compared(a, b, over="images").differences["top1"]["b"]
    difference_n = b.mean(axis=0) - a.mean(axis=0)
    theirs = scipy.stats.permutation_test((difference_n,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True)
    assert found.tests["images"].p == pytest.approx(theirs.pvalue)


def test_images_of_one_group_change_places_together() -> None:
    a, b = np.zeros(20, np.bool_), np.arange(20) < 14
    alone, grouped = (
        compare_groups(
            {"a": [rows_of(a, images_of_a_group=size)], "b": [rows_of(b, images_of_a_group=size)]}, "xy", CLASSIFY, samples=2**15
        )
        for size in (1, 2)
    )
    assert grouped.differences["top1"]["b"].tests["images"].p == pytest.approx(2 / 2**7)  # of 7 groups, all with the same sign
    assert alone.differences["top1"]["b"].tests["images"].p < 0.001


def test_single_runs_have_the_paired_interval_of_two_models() -> None:
    a, b = drawn(0.6, 1, 4), drawn(0.8, 1, 5)
    found = compared(a, b)
    assert found.over == "images"
    expected = compare(rows_of(a[0]), rows_of(b[0]), ("x", "y"), CLASSIFY, samples=2000).differences["top1"]
    test = found.differences["top1"]["b"].tests["images"]
    assert (test.low, test.high) == pytest.approx((expected.low, expected.high))
    assert found.levels["top1"]["a"].interquartile_mean is None


@pytest.mark.parametrize("key", ["ap", "f1"])
def test_metrics_that_are_no_means_change_places_too(key: str) -> None:
    """Against all 64 ways to swap the rows of 6 images by hand."""
    rows = [{**row, "group": row["id"]} for row in random_rows(np.random.default_rng(6), 6)]
    columns = ("detected_boxes", "detected_labels", "detected_scores")
    cut = [{**row, **{name: row[name][len(row[name]) // 2 :] for name in columns}} for row in rows]
    differences = []
    for ways in itertools.product((False, True), repeat=6):
        sides = [
            [pair[way] for pair, way in zip(pairs, ways, strict=True)]
            for pairs in (list(zip(rows, cut, strict=True)), list(zip(cut, rows, strict=True)))
        ]
        differences.append(scoring.means(sides[1])[key] - scoring.means(sides[0])[key])
    found = compare_groups({"a": [rows], "b": [cut], "c": [rows]}, "abcd", DETECT, [key], samples=64).differences[key]
    assert found["b"].value == pytest.approx(differences[0])
    assert len({round(abs(each), 9) for each in differences}) > 3, "which images change places matters"
    assert found["b"].value != 0
    assert found["b"].tests["images"].p == np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)
    assert (found["c"].value, found["c"].tests["images"].p, found["c"].verdict) == (0.0, 1.0, "no difference shown")


def test_p_values_are_corrected_for_all_tests() -> None:
    a, b, c = drawn(0.70, 4, 6), drawn(0.80, 4, 7), drawn(0.75, 4, 8)
    differences = compared(a, b, c).differences["top1"]
    for kind in ("images", "seeds", "both"):
        raw = [differences[name].tests[kind].p for name in "bc"]
        assert [differences[name].tests[kind].p_corrected for name in "bc"] == holm(raw)
    alone = compared(a, b).differences["top1"]["b"].tests["both"]
    assert alone.p_corrected == alone.p == differences["b"].tests["both"].p


def test_shares_of_1_have_wilson_s_interval_and_others_end_at_1() -> None:
    perfect = compared(np.ones((3, 60), np.bool_)).levels["top1"]["a"].intervals
    wilson = scipy.stats.binomtest(60, 60).proportion_ci(method="wilson")
    for kind in ("images", "seeds", "both"):
        assert (perfect[kind].low, perfect[kind].high) == pytest.approx((wilson.low, 1.0))
    nearly = np.ones((3, 60), np.bool_)
    nearly[0, :3] = False
    assert compared(nearly).levels["top1"]["a"].intervals["seeds"].high == 1.0


@pytest.mark.parametrize("over", ["seeds", "both"])
def test_runs_of_equal_values_give_no_verdict_about_seeds(over: str) -> None:
    a, b = (np.stack([np.roll(np.arange(60) < right, shift) for shift in (0, 7)]) for right in (30, 50))
    found = compared(a, b, over=over, difference=0.01)
    difference = found.differences["top1"]["b"]
    assert difference.value == pytest.approx(1 / 3)
    assert (set(difference.tests), difference.verdict, difference.needed) == ({"images"}, "seeds do not vary", None)
    assert difference.tests["images"].p < 0.01
    assert set(found.levels["top1"]["a"].intervals) == {"images", "both"}
    cells = comparison_table(found)
    row = dict(zip(cells.titles, cells.rows[1], strict=False))
    assert (row["minus a"], row["p"], row["verdict"], row["smallest"]) == ("+0.333", "-", "seeds do not vary", "-")
    assert any("use --over images" in note for note in cells.notes)
    assert records(found)[1]["p"] is None
    assert compared(a, b, over="images").differences["top1"]["b"].verdict == "better"
    assert compared(a, drawn(0.8, 2, 1), over=over).differences["top1"]["b"].tests[over].p > 0, "one group varies"


def test_permutations_need_little_memory() -> None:
    a, b = drawn(0.6, 2, 0, n=1000), drawn(0.7, 2, 1, n=1000)
    compared(a[:, :10], b[:, :10])  # imports
    tracemalloc.start()
    found = compared(a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.differences["top1"]["b"].verdict == "better"
    assert peak < 4 * 2000 * 1000 * 8, "bytes of the bootstrap's weights, as integers and as floats, and half as much"


def test_a_higher_error_is_worse() -> None:
    rows = random_rows(np.random.default_rng(6), 30)  # with many false detections
    none = [{**row, "detected_boxes": [], "detected_labels": [], "detected_scores": []} for row in rows]
    key = "count_error"
    found = compare_groups({"a": [none], "b": [rows]}, "abcd", DETECT, [key], samples=200).differences[key]["b"]
    assert found.value > 0
    assert found.verdict == "worse"


def test_mistakes_are_refused() -> None:
    a, single = drawn(0.6, 2, 0), drawn(0.6, 1, 1)
    assert_refused(lambda: compared(a, single, over="seeds"), "at least 2 runs", "'b' has 1")
    assert_refused(lambda: compared(a, over="days"), "unknown value of over 'days'")
    assert_refused(lambda: compared(a, metrics=["ap"]), "unknown metric 'ap'")
    assert_refused(lambda: compared(a, drawn(0.6, 2, 1, n=59)), "same examples")
    half = [{key: value for key, value in row.items() if key != "top_labels"} for row in rows_of(a[0])]
    groups = {"a": [rows_of(a[0])], "b": [half]}
    assert_refused(lambda: compare_groups(groups, "xy", CLASSIFY, ["top1"]), "'top1' is not in every run", "'b' lacks it")
    assert_refused(lambda: compare_groups(groups, "xy", CLASSIFY), "headline metric")
