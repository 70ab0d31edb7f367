"""Outputs of a model against those that a task needs, by names and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imgloc.inference.outputs import check_outputs
from imgloc.tasks import classify, detect, localize, read_sequence
from tests.refusals import assert_refused

GOOD = {"logits": np.zeros((8, 10)), "box": np.zeros((8, 4)), "features": 0}
PARTIAL = {"logits": np.zeros((8, 5, 10)), "box": np.zeros((8, 5, 4)), "seen": np.zeros((8, 5, 7, 1))}
TASKS = {"classify": classify.TASK, "localize": localize.TASK, "read_sequence": read_sequence.TASK, "detect": detect.TASK}


def check(task: str, outputs: dict[str, Any]) -> None:
    check_outputs(TASKS[task], task, outputs, "mine", 8, 10)


def test_what_a_task_needs_is_enough_and_more_is_welcome() -> None:
    check("localize", GOOD)
    check("localize", {**GOOD, "partial_predictions": PARTIAL})
    check("classify", {**GOOD, "partial_predictions": PARTIAL})
    check("classify", {"logits": GOOD["logits"], "score": np.zeros(8)})
    fixations = {"fixations": np.zeros((8, 3, 4)), "partial_predictions": {**PARTIAL, "fixations": np.zeros((8, 5, 4))}}
    check("localize", {**GOOD, **fixations})
    check("read_sequence", {**GOOD, "sequence": np.zeros((8, 2, 10)), "fixations": np.zeros((8, 3, 4))})


def test_partial_predictions_of_detected_objects_need_no_class_of_the_image() -> None:
    found = {"boxes": np.zeros((8, 3, 4)), "scores": np.zeros((8, 3)), "labels": np.zeros((8, 3))}
    partial = {name: np.repeat(value[:, None], 5, axis=1) for name, value in found.items()}
    check("detect", {**found, "partial_predictions": {**partial, "seen": PARTIAL["seen"]}})
    assert_refused(
        lambda: check("detect", {**found, "partial_predictions": {**found, "seen": PARTIAL["seen"]}}), "partial_predictions/boxes"
    )
    assert_refused(lambda: check("detect", {**found, "partial_predictions": partial}), "expected a dict with boxes, scores, labels, seen")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"box": None}, "task 'localize' needs the output 'box'; model 'mine' returns logits"),
        ({"logits": np.zeros((8, 9))}, "output 'logits' of model 'mine' has shape (8, 9), expected an array of shape (8, 10)"),
        ({"box": np.zeros((1, 4))}, "output 'box' of model 'mine' has shape (1, 4), expected an array of shape (8, 4) for a batch of 8"),
        ({"fixations": np.zeros((8, 2, 3))}, "has shape (8, 2, 3), expected an array of shape (8, 2, 4)"),
        ({"fixations": np.zeros((8, 0, 4))}, "has shape (8, 0, 4)"),
        ({"extra": 3}, "output 'extra' of model 'mine' has int, expected an array of shape (8, ...)"),
        ({"extra": np.float32(1)}, "output 'extra' of model 'mine' has shape ()"),
        ({"partial_predictions": np.zeros(8)}, "has ndarray; expected a dict with logits, box, seen"),
        ({"partial_predictions": {"logits": 0}}, "output 'partial_predictions' of model 'mine' has logits;"),
        ({"partial_predictions": {**PARTIAL, "other": 0}}, "has logits, box, seen, other;"),
        ({"partial_predictions": {**PARTIAL, "box": np.zeros((8, 4, 4))}}, "'partial_predictions/box' of model 'mine' has shape (8, 4, 4)"),
        ({"partial_predictions": {**PARTIAL, "seen": np.zeros((8, 5, 7))}}, "output 'partial_predictions/seen'"),
        ({"partial_predictions": {**PARTIAL, "seen": np.zeros((8, 5, 0, 1))}}, "output 'partial_predictions/seen'"),
        ({"partial_predictions": {**PARTIAL, "logits": np.zeros((8, 10))}}, "output 'partial_predictions/logits'"),
        ({"partial_predictions": {**PARTIAL, "logits": np.zeros((8, 0, 10))}}, "output 'partial_predictions/logits'"),
        ({"partial_predictions": {**PARTIAL, "logits": np.zeros((8, 5, 10), complex)}}, "is complex, expected real numbers"),
        (
            {"partial_predictions": {key: np.repeat(value, 13, axis=1) for key, value in PARTIAL.items()}},
            "has 65 steps, expected 1 to 64",
        ),
    ],
)
def test_other_outputs_are_refused_in_one_line(changed: dict[str, Any], message: str) -> None:
    outputs = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
    assert_refused(lambda: check("localize", outputs), message)


def test_axes_of_one_letter_have_one_length() -> None:
    outputs = {"logits": np.zeros((8, 10)), "sequence": np.zeros((8, 2, 9))}
    assert_refused(lambda: check("read_sequence", outputs), "has shape (8, 2, 9), expected an array of shape (8, 2, 10)")
    assert_refused(lambda: check("read_sequence", {**outputs, "sequence": np.zeros((8, 10))}), "expected an array of shape (8, n, 10)")
