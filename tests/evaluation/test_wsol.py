"""Metrics of score maps and their bootstrap samples, beside evaluations of repeated images."""

from __future__ import annotations

import numpy as np
import pytest

from imgloc.evaluation.statistics import percentile_interval
from imgloc.evaluation.wsol import best_shares, correct_counts, ious_reached, pixel_precision
from imgloc.score_maps.localization import pixel_average_precision


def test_an_iou_reaches_the_thresholds_that_are_not_above_it() -> None:
    ious = np.array([0, 0.29, 3 / 10, 0.49, 1 / 2, 0.69, 7 / 10, 1])
    assert ious_reached(ious).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_the_best_threshold_is_chosen_for_each_iou_and_in_each_sample() -> None:
    rng = np.random.default_rng(0)
    iou_nxt = np.repeat(rng.random((12, 8)), 5, axis=1)  # neighboring thresholds agree
    weights_rxn = rng.multinomial(12, np.full(12, 1 / 12), size=150).astype(np.float64)
    found = best_shares("acc", ious_reached(iou_nxt), weights_rxn)
    assert list(found) == ["acc_30", "acc_50", "acc_70", "acc_mean"]

    def best(images: list[int]) -> list[float]:
        return [float(max(np.mean(iou_nxt[images] >= iou, axis=0))) for iou in (0.3, 0.5, 0.7)]

    for sample in (-1, 0, 73, 149):
        images = list(range(12)) if sample < 0 else np.repeat(np.arange(12), weights_rxn[sample].astype(int)).tolist()
        expected = best(images)
        values = [each.whole if sample < 0 else each.value_r[sample] for each in found.values()]
        assert values == pytest.approx([*expected, sum(expected) / 3], abs=1e-12)
    assert {each.n for each in found.values()} == {12}
    counts = correct_counts(ious_reached(iou_nxt))
    assert {iou: max(count_t) / 12 for iou, count_t in counts.items()} == {iou: pytest.approx(found[f"acc_{iou}"].whole) for iou in counts}


def test_an_accuracy_of_zero_has_an_interval_with_width() -> None:
    found = best_shares("acc", np.zeros((10, 4), np.uint8), np.ones((20, 10)))
    interval = percentile_interval(found["acc_50"])
    assert interval.mean == interval.low == 0
    assert interval.high > 0.2


def test_samples_of_pixels_are_those_of_repeated_images() -> None:
    rng = np.random.default_rng(1)
    histograms = rng.integers(0, 50, (6, 2, 9))
    weights_rxn = rng.multinomial(6, np.full(6, 1 / 6), size=20).astype(np.float64)
    found = pixel_precision(histograms, weights_rxn)
    assert found.whole == pytest.approx(float(pixel_average_precision(histograms.sum(axis=0))))
    repeated = np.repeat(histograms, weights_rxn[7].astype(int), axis=0)
    assert found.value_r[7] == pytest.approx(float(pixel_average_precision(repeated.sum(axis=0))))
    histograms[1:, 0] = 0
    assert np.isnan(pixel_precision(histograms, np.eye(6)).value_r).tolist() == [False, *[True] * 5]
