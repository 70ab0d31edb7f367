"""Targets: what they read of the outputs, and how users name them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.explanation import targets
from imgloc.explanation.requests import parse_target
from imgloc.nn.detections import Suppression, select_detections
from tests.refusals import assert_refused

CLASSES = ("zero", "one", "two")


def dense(seed: int = 0) -> dict[str, Any]:
    """Outputs of a dense detector at 12 locations for 2 images."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-0.1, 0.6, (2, 12, 2))
    boxes = jnp.asarray(np.concatenate([low, low + rng.uniform(0.2, 0.6, (2, 12, 2))], axis=-1), jnp.float32)
    logits = jnp.asarray(rng.normal(size=(2, 12, 3)), jnp.float32)
    found = select_detections(1 / (1 + jnp.exp(-logits)), boxes, Suppression(max_detections=4, nms_iou=0.5))
    return {"dense_logits": logits, "dense_boxes": boxes, **found}


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_detection_is_traced_to_the_location_that_it_comes_from(number: int) -> None:
    outputs = dense()
    index = targets.location_of_detection(outputs, number)
    np.testing.assert_allclose(1 / (1 + np.exp(-targets.detection_logit(outputs, index))), outputs["scores"][:, number], rtol=1e-5)
    np.testing.assert_array_equal(index[:, 1], outputs["labels"][:, number])
    left = targets.detection_edge(outputs, index.at[:, 1].set(0))
    np.testing.assert_allclose(np.clip(left, 0, 1), outputs["boxes"][:, number, 0], atol=1e-6)


def test_texts_are_targets() -> None:
    outputs = {
        "logits": jnp.array([[0.0, 3.0, 1.0], [2.0, 0.0, 1.0]]), "box": jnp.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]),
        "sequence": jnp.array([[[0.0, 1.0, 5.0], [4.0, 0.0, 0.0]]] * 2), **dense(),
    }  # fmt: skip
    expected = {
        "": ([3.0, 2.0], "one"), "two": ([1.0, 1.0], "two"), "edge:right": ([0.3, 0.7], "right edge"), "label:1": ([4.0, 4.0], "zero at 1"),
        "detection:1:top": (outputs["boxes"][:, 1, 1], "top edge of detection 1"),
    }  # fmt: skip
    for text, (values, words) in expected.items():
        target = parse_target(text, CLASSES, outputs)
        index = target.choose(outputs)
        assert index.dtype == jnp.int32
        np.testing.assert_allclose(np.clip(target.objective(outputs, index), 0, 9), values, rtol=1e-5, err_msg=text)
        assert target.describe(np.asarray(index[0])) == words
    assert parse_target("", CLASSES, dense()).objective is targets.detection_logit


@pytest.mark.parametrize(
    ("text", "contains"),
    [
        ("thre", ("unknown target 'thre'", "expected a class, edge:left")), ("edge:lefd", ("did you mean 'left'?",)),
        ("detection:x", ("needs a number",)), ("detection:0", ("requires a model with the output 'dense_logits'", "box, logits")),
    ],
)  # fmt: skip
def test_other_texts_are_refused(text: str, contains: tuple[str, ...]) -> None:
    assert_refused(lambda: parse_target(text, CLASSES, {"logits": 0, "box": 0}), *contains)
    assert_refused(lambda: parse_target("", CLASSES, {"features": 0}), "no output that can be explained")


def test_probabilities_stand_for_logits() -> None:
    outputs, index = {"logits": jnp.array([[0.0, np.log(3.0)]])}, jnp.array([[1]])
    np.testing.assert_allclose(targets.BOUNDED[targets.class_logit](outputs, index), [0.75], rtol=1e-5)
