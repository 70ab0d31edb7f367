"""Rows of a batch: probabilities, order, truth, and no row for padding; what tasks make of a row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import scipy.special

from imgloc.config.registry import declared, names
from imgloc.evaluation import scoring
from imgloc.inference.predict import task_rows
from imgloc.interfaces import Slicing, Task
from imgloc.tasks import classify, localize, read_sequence
from imgloc.types import Batch
from tests.truths import truths_of

CLASSES = 7
NAMES = tuple("abcdefg")


def batch(masks: list[bool]) -> tuple[dict[str, np.ndarray], Batch]:
    rng = np.random.default_rng(0)
    b = len(masks)
    outputs = {"logits": rng.standard_normal((b, CLASSES)).astype(np.float32) * 20, "box": rng.random((b, 4)).astype(np.float32)}
    objects = np.array([[True, True, False], [True, False, False], [False, False, False], [True, True, True]] * b)[:b]
    return outputs, Batch(
        np.zeros((b, 2, 2, 1), np.uint8), rng.random((b, 3, 4)).astype(np.float32), rng.integers(0, CLASSES, (b, 3)).astype(np.int32),
        objects, rng.integers(0, CLASSES, b).astype(np.int32), np.array(masks), np.tile(np.array([0, 0, 1, 1], np.float32), (b, 1)),
    )  # fmt: skip


def rows(task: Any, outputs: Any, given: Batch) -> list[dict[str, Any]]:
    return task_rows(task.TASK, outputs, given, truths_of(given))


def test_likeliest_classes_and_probabilities() -> None:
    outputs, given = batch([True] * 6)
    for i, row in enumerate(rows(classify, outputs, given)):
        probabilities = scipy.special.softmax(outputs["logits"][i].astype(np.float64))
        order = sorted(range(CLASSES), key=lambda k: -probabilities[k])[:5]
        assert row["top_labels"] == order
        np.testing.assert_allclose(row["top_scores"], probabilities[order], rtol=1e-6)


def test_ties_go_to_the_first_class_and_few_classes_give_few() -> None:
    _, given = batch([True])
    row = rows(classify, {"logits": np.zeros((1, 3))}, given)[0]
    assert row["top_labels"] == [0, 1, 2]
    np.testing.assert_allclose(row["top_scores"], 1 / 3, rtol=1e-6)


def test_extreme_logits_give_finite_probabilities() -> None:
    _, given = batch([True])
    row = rows(classify, {"logits": np.array([[1e4, -1e4, 0.0]], np.float32)}, given)[0]
    assert row["top_labels"][0] == 0
    assert row["top_scores"][:2] == [1.0, 0.0]


def test_truth_holds_the_objects_that_are_there() -> None:
    outputs, given = batch([True] * 4)
    for i, row in enumerate(rows(localize, outputs, given)):
        assert row["label"] == given.label_b[i]
        np.testing.assert_array_equal(np.reshape(row["boxes"], (-1, 4)), given.boxes_bxnx4[i][given.object_mask_bxn[i]])
        assert row["labels"] == given.labels_bxn[i][given.object_mask_bxn[i]].tolist()
    assert rows(localize, outputs, given)[2]["boxes"] == []


def test_padding_has_no_row_wherever_it_is() -> None:
    masks = [True, False, True, True, False]
    outputs, given = batch(masks)
    outputs["logits"][~np.array(masks)] = np.nan
    made = rows(localize, outputs, given._replace(content_bx4=given.content_bx4 * np.array(masks)[:, None]))
    assert len(made) == 3
    for row, i in zip(made, [0, 2, 3], strict=True):
        assert row["label"] == given.label_b[i]
        assert row["top_labels"][0] == outputs["logits"][i].argmax()
        np.testing.assert_array_equal(row["pred_box"], outputs["box"][i])
    assert rows(localize, *batch([False, False])) == []


def test_fixations_are_kept_where_there_are_any_rounded_and_in_order() -> None:
    outputs, given = batch([True, False, True])
    fixations = np.random.default_rng(1).uniform(-1, 2, (3, 5, 4)).astype(np.float32)
    fixations[2, 0] = [-1e-9, 0.1, 1 / 3, 1]
    for task in (classify, localize):
        assert all("fixations" not in row for row in rows(task, outputs, given))
        made = rows(task, {**outputs, "fixations": fixations}, given)
        for row, i in zip(made, [0, 2], strict=True):
            np.testing.assert_allclose(row["fixations"], fixations[i], atol=6e-6)
        assert json.dumps(made[1]["fixations"][0]) == "[0.0, 0.1, 0.33333, 1.0]"


def test_a_letterboxed_box_is_mapped_back_and_cut_while_a_fixation_is_not_cut() -> None:
    outputs, given = batch([True, True])
    content = np.array([[0.0, 0.25, 1.0, 0.75], [0.0, 0.0, 1.0, 1.0]], np.float32)
    box = np.array([[0.5, 0.125, 1.0, 0.5]] * 2, np.float32)
    made = rows(localize, {**outputs, "box": box, "fixations": box[:, None]}, given._replace(content_bx4=content))
    assert made[0]["pred_box"] == [0.5, 0.0, 1.0, 0.5]
    assert made[0]["fixations"] == [[0.5, -0.25, 1.0, 0.5]]
    assert made[1]["pred_box"] == [0.5, 0.125, 1.0, 0.5]


def test_localize_adds_the_box_to_classify() -> None:
    outputs, given = batch([True] * 3)
    plain, located = rows(classify, outputs, given), rows(localize, outputs, given)
    assert [{k: v for k, v in row.items() if k != "pred_box"} for row in located] == plain
    json.dumps(located, allow_nan=False)  # plain values


def test_read_sequence_adds_the_likeliest_class_of_each_place() -> None:
    outputs, given = batch([True, False, True])
    outputs["sequence"] = np.random.default_rng(2).standard_normal((3, 4, CLASSES)).astype(np.float32)
    plain, made = rows(classify, outputs, given), rows(read_sequence, outputs, given)
    assert [{k: v for k, v in row.items() if k not in ("pred_labels", "pred_scores")} for row in made] == plain
    likeliest = [[max(range(CLASSES), key=lambda k: scores[k]) for scores in outputs["sequence"][i]] for i in (0, 2)]
    assert [row["pred_labels"] for row in made] == likeliest
    scores = [[float(scipy.special.softmax(place).max()) for place in outputs["sequence"][i]] for i in (0, 2)]
    np.testing.assert_allclose([row["pred_scores"] for row in made], scores, rtol=1e-5)
    json.dumps(made, allow_nan=False)


def twice(box: Any) -> tuple[float, ...]:
    """A stand-in for the way to pixels."""
    return tuple(2 * edge for edge in box)


def test_answers_and_lines() -> None:
    row = {
        "top_labels": [2, 0],
        "top_scores": [0.75, 0.25],
        "pred_box": [0.0, 0.125, 0.5, 1.0],
        "pred_labels": [1, 3],
        "pred_scores": [0.5, 0.5],
    }
    assert classify.TASK.answer(row, NAMES, twice) == ("c", 0.75, None)
    assert localize.TASK.answer(row, NAMES, twice) == ("c", 0.75, (0.0, 0.25, 1.0, 2.0))
    assert read_sequence.TASK.answer(row, NAMES, twice) == ("b d", 0.25, None)
    located = localize.TASK.answer(row, NAMES, twice)
    assert localize.TASK.answer_json(located, None) == {"class": "c", "score": 0.75, "box": [0.0, 0.25, 1.0, 2.0]}
    upright = located._replace(box=(1.0, 2.0, 3.0, 4.00049))
    assert localize.TASK.answer_json(located, upright)["box_upright"] == [1.0, 2.0, 3.0, 4.0]
    assert classify.TASK.answer_json(classify.TASK.answer(row, NAMES, twice), None) == {"class": "c", "score": 0.75, "box": None}
    assert [tuple(each) for each in localize.TASK.detections(row)] == [(2, 0.75, [0.0, 0.125, 0.5, 1.0])]
    assert list(localize.TASK.detections({**row, "finite": False})) == []
    assert list(classify.TASK.detections(row)) == []


def test_cards() -> None:
    truth = {"label": 2, "labels": [5, 2], "boxes": [[0.5, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0]]}
    row = {**truth, "top_labels": [1], "top_scores": [0.5], "pred_box": [0.0, 0.0, 0.25, 1.0], "pred_labels": [2, 4, 6]}
    name = NAMES.__getitem__
    plain, located, read = (task.TASK.card(row, name) for task in (classify, localize, read_sequence))
    assert (plain.true, plain.predicted, plain.correct, plain.notes) == ("c", "b", False, ("50 %",))
    assert located.notes == ("50 %", "IoU 0.50")
    assert [overlay.kind for overlay in located.overlays] == ["true", "true", "predicted"]
    assert [overlay.kind for overlay in plain.overlays] == ["true", "true"]
    assert (read.true, read.predicted, read.correct) == ("c f", "c e", False)
    right = read_sequence.TASK.card({**row, "pred_labels": [2, 5, 0]}, name)
    assert (right.predicted, right.correct) == ("c f", True)
    nothing = {**row, "boxes": [], "labels": []}
    assert read_sequence.TASK.card(nothing, name).true == "c"
    assert localize.TASK.card(nothing, name).notes == ("50 %",)


def test_ranks() -> None:
    base = {"label": 0, "labels": [0], "boxes": [[0.0, 0.0, 1.0, 1.0]]}
    wrong = {**base, "top_labels": [1], "top_scores": [0.9], "pred_box": [0.0, 0.0, 1.0, 1.0]}
    close = {**base, "top_labels": [0], "top_scores": [0.6], "pred_box": [0.0, 0.0, 1.0, 0.75]}
    far = {**base, "top_labels": [0], "top_scores": [0.8], "pred_box": [0.0, 0.0, 1.0, 0.25]}
    assert localize.TASK.gallery_score([wrong, close, far]).tolist() == [0.0, 0.75, 0.25]
    assert classify.TASK.gallery_score([wrong, close, far]).tolist() == [-0.9, 0.6, 0.8]
    nowhere = [{**row, "boxes": [], "labels": []} for row in (wrong, close, far)]
    assert localize.TASK.gallery_score(nowhere).tolist() == [-0.9, 0.6, 0.8]
    both = {**base, "boxes": [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]], "labels": [0, 3], "top_labels": [0], "top_scores": [0.5]}
    assert read_sequence.TASK.gallery_score([{**both, "pred_labels": [0, 3]}, {**both, "pred_labels": [0, 1]}]).tolist() == [1.5, 0.0]


def test_curves_of_localization() -> None:
    base = {"label": 0, "labels": [0], "boxes": [[0.0, 0.0, 1.0, 1.0]], "pred_box": [0.0, 0.0, 1.0, 0.5]}
    made = [{**base, "top_labels": [0]}, {**base, "top_labels": [1]}, {**base, "top_labels": [1], "boxes": [], "labels": []}]
    alone, with_class = (curve.values(made).tolist() for curve in localize.TASK.curves)
    assert alone[:2] == [0.5, 0.5]
    assert with_class[:2] == [0.5, -1.0]
    assert np.isnan([alone[2], with_class[2]]).all()


@pytest.mark.parametrize("name", names("tasks"))
def test_what_a_task_names_is_there(name: str) -> None:
    task = declared("tasks", name, Task)
    known = scoring.known_metrics()
    assert task.headline_metrics
    assert set(task.headline_metrics) <= set(known)
    assert task.best_metric in known
    keys = [declared("evaluation.slicings", slicing, Slicing).key for slicing in task.slicings]
    assert keys == [key for key in ("class", "objects", "size", "attribute") if key in keys]
    assert keys
    assert task.summary
    assert task.gallery_order
