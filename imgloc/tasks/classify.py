"""Classification: one class for each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imgloc import boxes
from imgloc.interfaces import Card, Overlay, Task, ToPixels
from imgloc.types import FloatArray, Outputs, Row, Truth

TOP = 5  # classes that a row keeps
DIGITS = 5  # of fixations: a hundred-thousandth of the image is finer than any picture


class Answer(NamedTuple):
    """The answer for one image: the same fields for all three tasks."""

    label: str  # the name of the class
    score: float  # its probability
    box: tuple[float, ...] | None = None  # x0, y0, x1, y1 in pixels of the file as it is stored; None where the task has no box


def softmax(logits: FloatArray) -> FloatArray:
    """Returns the softmax over the last axis, in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    exponent = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: FloatArray = exponent / exponent.sum(axis=-1, keepdims=True)
    return probabilities


def postprocess(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """The `TOP` most probable labels with their probabilities, (b, t), and the fixations (b, g, 4) where a model has them."""
    probabilities_bxk = softmax(outputs["logits"])
    labels_bxt = np.argsort(-probabilities_bxk, axis=-1, kind="stable")[:, :TOP]
    predictions = {"labels": labels_bxt, "scores": np.take_along_axis(probabilities_bxk, labels_bxt, axis=-1).astype(np.float32)}
    if "fixations" in outputs:  # not cut at the edges of the image, so that the centers stay where they were
        predictions["fixations"] = boxes.from_input(np.asarray(outputs["fixations"]), content_bx4, clip=False)
    return predictions


def partial_to_image(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """`box`, cut at the edges of the image, and `fixations`, (b, s, 4), where a model has them."""
    positions = (("box", True), ("fixations", False))
    return {name: boxes.from_input(outputs[name], content_bx4, clip=clip) for name, clip in positions if name in outputs}


def truth_columns(truth: Truth) -> Row:
    """`label`, and `boxes` and `labels` of all objects."""
    return {
        "label": int(truth.label),
        "boxes": [[float(edge) for edge in box] for box in truth.boxes_nx4],
        "labels": [int(label) for label in truth.labels_n],
    }


def prediction_columns(predictions: Mapping[str, Any], i: int) -> Row:
    """`top_labels`, `top_scores` and, of a model with attention, `fixations`."""
    columns: Row = {
        "top_labels": [int(k) for k in predictions["labels"][i]],
        "top_scores": [float(score) for score in predictions["scores"][i]],
    }
    if "fixations" in predictions:
        columns["fixations"] = (np.asarray(predictions["fixations"][i], np.float64).round(DIGITS) + 0.0).tolist()  # without -0.0
    return columns


def answer(row: Row, classes: Sequence[str], to_pixels: ToPixels) -> Answer:
    """The predicted class and its probability."""
    return Answer(classes[row["top_labels"][0]], row["top_scores"][0])


def answer_json(answer: Answer, upright: Answer | None) -> dict[str, Any]:
    """`class`, `score` and `box`. The box is null for a task without boxes, as is `box_upright` of a rotated image."""
    values: dict[str, Any] = {"class": answer.label, "score": round(answer.score, 6), "box": _rounded(answer.box)}
    return values if upright is None else {**values, "box_upright": _rounded(upright.box)}


def _rounded(box: tuple[float, ...] | None) -> list[float] | None:
    return None if box is None else [round(edge, 3) for edge in box]


def true_boxes(row: Row) -> tuple[Overlay, ...]:
    """The true boxes of a row."""
    return tuple(Overlay(box, kind="true") for box in row["boxes"])


def card(row: Row, name: Callable[[int], str]) -> Card:
    """The true and the predicted class, and the probability of the latter."""
    label = row["top_labels"][0]
    probability = f"{100 * row['top_scores'][0]:.0f} %"
    if not row.get("finite", True):
        return Card(name(row["label"]), "no answer (NaN or infinite)", False, (), true_boxes(row))
    return Card(name(row["label"]), name(label), label == row["label"], (probability,), true_boxes(row))


def is_correct(rows: Sequence[Row]) -> FloatArray:
    """[n]: 1.0 where the predicted class is the true one, else 0.0, also for an answer that is not finite."""
    return np.array([float(row.get("finite", True) and row["top_labels"][0] == row["label"]) for row in rows])


def gallery_score(rows: Sequence[Row]) -> FloatArray:
    """[n]: the probability of the predicted class if it is correct, else minus that probability."""
    correct_n = is_correct(rows)
    score_n = np.array([row["top_scores"][0] for row in rows])
    return np.where(correct_n > 0, score_n, -score_n)


def confusion(row: Row) -> tuple[int, int]:
    """The true and the predicted class."""
    return row["label"], row["top_labels"][0]


TASK = Task(
    outputs={"logits": ("b", "k")},
    optional_outputs={"fixations": ("b", "g", 4)},
    partial_outputs={"fixations": ("b", "s", 4)},  # the window of the step
    postprocess=postprocess,
    truth_columns=truth_columns,
    prediction_columns=prediction_columns,
    answer=answer,
    answer_json=answer_json,
    card=card,
    gallery_score=gallery_score,
    headline_metrics=("top1",),
    best_metric="top1",
    confusion=confusion,
    partial_to_image=partial_to_image,
    objects="learns one class for each image: its label, or else the class of its largest object; other objects are not learned",
    summary="the class of each image",
    gallery_order="by the probability of the predicted class, correct or not",
)
