"""Average precision under weights against a curve that is drawn rank by rank."""

from __future__ import annotations

import numpy as np
import pytest

from imgloc.detection import curves


def drawn(hit_d: np.ndarray, counted_d: np.ndarray, weight_d: np.ndarray, expected: float, points: np.ndarray | None) -> float:
    """Average precision of one variant: precision at a recall is the highest at that recall or a higher one."""
    found = ranked = 0.0
    recalls, precisions = [], []
    for hit, counted, weight in zip(hit_d, counted_d, weight_d, strict=True):
        found, ranked = found + weight * hit, ranked + weight * counted
        recalls.append(found / expected)
        precisions.append(found / ranked if ranked > 0 else 0.0)
    highest = [max(precisions[place:]) for place in range(len(precisions))]
    if points is None:
        return sum(high * (recall - before) for high, recall, before in zip(highest, recalls, [0.0, *recalls], strict=False))
    reaching = [[high for high, recall in zip(highest, recalls, strict=True) if recall >= point] for point in points]
    return float(np.mean([max(highs, default=0.0) for highs in reaching]))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("whole", [True, False])
def test_average_precision_is_that_of_the_drawn_curve(seed: int, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "CHUNK", 2**seed)
    rng = np.random.default_rng(seed)
    samples, variants, detections = 5, 4, int(rng.integers(1, 40))
    hit_txd = rng.random((variants, detections)) < 0.4
    hit_txd[1] = False
    counted_txd = hit_txd | (rng.random((variants, detections)) < 0.7)
    drawn_times = rng.integers(0, 4, (samples, detections))
    weight_rxd = drawn_times * (1.0 if whole else 0.3)
    weight_rxd[0] = 0
    expected_rxt = (hit_txd * weight_rxd[:, None]).sum(axis=2) + rng.choice([0.0, 1.0, 2.5], (samples, variants))
    for points, reached in ((None, curves.area_under), (np.linspace(0, 1, 101), curves.COCO_POINTS)):
        found_rxt = curves.average_precision(hit_txd, counted_txd, weight_rxd.astype(np.float64), expected_rxt, reached)
        for r in range(samples):
            for t in range(variants):
                if expected_rxt[r, t] > 0:
                    of_curve = drawn(hit_txd[t], counted_txd[t], weight_rxd[r], expected_rxt[r, t], points)
                    assert found_rxt[r, t] == pytest.approx(of_curve, abs=1e-12 if whole or points is None else 0.02)
                else:
                    assert np.isnan(found_rxt[r, t])


def test_detections_without_an_object_have_no_average_precision_and_no_detections_have_0() -> None:
    none = np.zeros((2, 0), np.bool_)
    found_rxt = curves.average_precision(none, none, np.ones((3, 0)), np.array([[1.0], [0.0], [2.0]]), curves.COCO_POINTS)
    assert np.array_equal(found_rxt, [[0, 0], [np.nan, np.nan], [0, 0]], equal_nan=True)
