"""Metrics of explanations on examples whose answer is known, beside controls."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from imgloc.evaluation.explanation_metrics import METRICS
from imgloc.evaluation.explanations import score_explanations
from imgloc.explanation.quality.controls import CONTROLS
from imgloc.types import Example, Info, InputSpec
from tests.inference.trained import trained_model

SIDE = 16


class Colors(nn.Module):
    """Two classes: how red and how green the image is."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
        maps = nn.relu(nn.Dense(2, use_bias=False, name="colors")(images[:, ::2, ::2]))
        return {"logits": 60 * maps.mean(axis=(1, 2)), "features": {"maps": maps}}


class Squares:
    """Black images with a red and a green square; the box is that of the image's class. Example 3 has no class."""

    info = Info(("red", "green"), 3)
    fingerprint = "squares"
    groups = frozenset("01234567")

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Example:
        rng = np.random.default_rng(index)
        image, x, label = np.zeros((SIDE, SIDE, 3), np.uint8), int(rng.integers(0, 5)) * 2, index % 2
        corners = ((0, x), (8, 10 - x))
        for channel, (top, left) in enumerate(corners):
            image[top : top + 4, left : left + 4, channel] = 255
        top, left = corners[label]
        box = np.array([[left, top, left + 4, top + 4]], np.float32) / SIDE
        return Example(image, box, np.array([label], np.int32), -1 if index == 3 else label, str(index), str(index))


def test_good_maps_beat_the_controls_and_every_metric_has_an_interval() -> None:
    kernel = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    trained = trained_model(Colors(), InputSpec((SIDE, SIDE, 3)), ("red", "green"), variables={"params": {"colors": {"kernel": kernel}}})
    scores = score_explanations(trained, Squares(), ["grad_cam", "gradient_times_input"], count=8, batch_size=3, samples=200)
    assert set(scores) == {"grad_cam", "gradient_times_input", "center", "edges", "noise"}
    good, noise = scores["grad_cam"], scores["noise"]
    assert [metric.key for metric in METRICS] == list(good)
    assert set(good) - set(noise) == {"randomization", "sensitivity"}
    assert {interval.n for interval in good.values()} == {7}, "an image without a class is left out"
    assert good["pointing"].mean == scores["gradient_times_input"]["pointing"].mean == 1.0
    assert good["energy"].mean > 0.6
    assert scores["gradient_times_input"]["energy"].mean == pytest.approx(1.0)
    for metric in METRICS[:3]:  # so little blur leaves nothing to insert
        assert metric.sign * good[metric.key].mean > metric.sign * noise[metric.key].mean, metric.key
    for interval in (*good.values(), *noise.values()):
        assert interval.low <= interval.mean <= interval.high
    assert noise["energy"].mean == pytest.approx(1 / 16, abs=0.03)


def test_the_metrics_do_not_depend_on_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgloc.evaluation.explanations.CONTROLS", {"noise": CONTROLS["noise"]})
    kernel = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    trained = trained_model(Colors(), InputSpec((SIDE, SIDE, 3)), ("red", "green"), variables={"params": {"colors": {"kernel": kernel}}})
    first, second = (score_explanations(trained, Squares(), ["smooth_grad"], count=4, batch_size=size, samples=10) for size in (4, 2))
    for method in ("smooth_grad", "noise"):
        assert {key: each.mean for key, each in first[method].items()} == pytest.approx(
            {key: each.mean for key, each in second[method].items()}, rel=1e-3
        )
