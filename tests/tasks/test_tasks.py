"""Rows of a batch: probabilities, order, truth, and no row for padding."""

from __future__ import annotations

import json

import numpy as np
import scipy.special

from imgloc.tasks import classify, localize, read_sequence
from imgloc.types import Batch

CLASSES = 7


def batch(masks: list[bool]) -> tuple[dict[str, np.ndarray], Batch]:
    rng = np.random.default_rng(0)
    b = len(masks)
    outputs = {"logits": rng.standard_normal((b, CLASSES)).astype(np.float32) * 20, "box": rng.random((b, 4)).astype(np.float32)}
    objects = np.array([[True, True, False], [True, False, False], [False, False, False], [True, True, True]] * b)[:b]
    return outputs, Batch(
        np.zeros((b, 2, 2, 1), np.uint8), rng.random((b, 3, 4)).astype(np.float32), rng.integers(0, CLASSES, (b, 3)).astype(np.int32),
        objects, rng.integers(0, CLASSES, b).astype(np.int32), np.array(masks), np.tile(np.array([0, 0, 1, 1], np.float32), (b, 1)),
    )  # fmt: skip


def test_likeliest_classes_and_probabilities() -> None:
    outputs, given = batch([True] * 6)
    for i, row in enumerate(classify.rows(outputs, given)):
        probabilities = scipy.special.softmax(outputs["logits"][i].astype(np.float64))
        order = sorted(range(CLASSES), key=lambda k: -probabilities[k])[:5]
        assert row["top_labels"] == order
        np.testing.assert_allclose(row["top_scores"], probabilities[order], rtol=1e-6)


def test_ties_go_to_the_first_class_and_few_classes_give_few() -> None:
    _, given = batch([True])
    row = classify.rows({"logits": np.zeros((1, 3))}, given)[0]
    assert row["top_labels"] == [0, 1, 2]
    np.testing.assert_allclose(row["top_scores"], 1 / 3, rtol=1e-6)


def test_extreme_logits_give_finite_probabilities() -> None:
    _, given = batch([True])
    row = classify.rows({"logits": np.array([[1e4, -1e4, 0.0]], np.float32)}, given)[0]
    assert row["top_labels"][0] == 0
    assert row["top_scores"][:2] == [1.0, 0.0]


def test_truth_holds_the_objects_that_are_there() -> None:
    outputs, given = batch([True] * 4)
    for i, row in enumerate(localize.rows(outputs, given)):
        assert row["label"] == given.label_b[i]
        np.testing.assert_array_equal(np.reshape(row["boxes"], (-1, 4)), given.boxes_bxnx4[i][given.object_mask_bxn[i]])
        assert row["labels"] == given.labels_bxn[i][given.object_mask_bxn[i]].tolist()
    assert localize.rows(outputs, given)[2]["boxes"] == []


def test_padding_gives_no_row_wherever_it_stands() -> None:
    masks = [True, False, True, True, False]
    outputs, given = batch(masks)
    outputs["logits"][~np.array(masks)] = np.nan
    found = localize.rows(outputs, given)
    assert len(found) == 3
    for row, i in zip(found, [0, 2, 3], strict=True):
        assert row["label"] == given.label_b[i]
        assert row["top_labels"][0] == outputs["logits"][i].argmax()
        np.testing.assert_array_equal(row["pred_box"], outputs["box"][i])
    assert localize.rows(*batch([False, False])) == []


def test_windows_are_kept_where_there_are_any_small_and_in_their_order() -> None:
    outputs, given = batch([True, False, True])
    looks = np.random.default_rng(1).uniform(-1, 2, (3, 5, 4)).astype(np.float32)
    looks[2, 0] = [-1e-9, 0.1, 1 / 3, 1]
    for task in (classify, localize):
        assert all("looks" not in row for row in task.rows(outputs, given))
        found = task.rows({**outputs, "looks": looks}, given)
        for row, i in zip(found, [0, 2], strict=True):
            np.testing.assert_allclose(row["looks"], looks[i], atol=6e-6)
        assert json.dumps(found[1]["looks"][0]) == "[0.0, 0.1, 0.33333, 1.0]"


def test_locate_adds_the_box_to_classify() -> None:
    outputs, given = batch([True] * 3)
    plain, located = classify.rows(outputs, given), localize.rows(outputs, given)
    assert [{k: v for k, v in row.items() if k != "pred_box"} for row in located] == plain
    json.dumps(located, allow_nan=False)  # plain values


def test_read_adds_the_likeliest_class_of_each_place() -> None:
    outputs, given = batch([True, False, True])
    outputs["sequence"] = np.random.default_rng(2).standard_normal((3, 4, CLASSES)).astype(np.float32)
    plain, found = classify.rows(outputs, given), read_sequence.rows(outputs, given)
    assert [{k: v for k, v in row.items() if k != "read"} for row in found] == plain
    likeliest = [[max(range(CLASSES), key=lambda k: scores[k]) for scores in outputs["sequence"][i]] for i in (0, 2)]
    assert [row["read"] for row in found] == likeliest
    del outputs["sequence"]
    assert read_sequence.rows(outputs, given) == plain, "a baseline, which is scored beside a model, reads nothing"
    json.dumps(found, allow_nan=False)
