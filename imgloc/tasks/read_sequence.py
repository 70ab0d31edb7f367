"""Reading: the classes of several objects in an image, from left to right."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from imgloc import boxes
from imgloc.interfaces import Card, ToPixels
from imgloc.tasks import classify
from imgloc.tasks.classify import Answer
from imgloc.types import FloatArray, Outputs, Row


def postprocess(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """Predictions of `classify` for the first object, and the most probable label of each place with its probability, (b, n)."""
    probabilities_bxnxk = classify.softmax(outputs["sequence"])
    return {
        **classify.postprocess(outputs, content_bx4),
        "sequence": np.asarray(outputs["sequence"], np.float64).argmax(axis=-1),
        "sequence_scores": probabilities_bxnxk.max(axis=-1),
    }


def prediction_columns(predictions: Mapping[str, Any], i: int) -> Row:
    """Columns of `classify`, and `pred_labels` with `pred_scores` of the objects from left to right."""
    return {
        **classify.prediction_columns(predictions, i),
        "pred_labels": [int(label) for label in predictions["sequence"][i]],
        "pred_scores": [float(np.float32(score)) for score in predictions["sequence_scores"][i]],
    }


def answer(row: Row, classes: Sequence[str], to_pixels: ToPixels) -> Answer:
    """The classes of all places with a space between, and the product of their probabilities."""
    return Answer(" ".join(classes[k] for k in row["pred_labels"]), math.prod(row["pred_scores"]))


def correct_labels(row: Row) -> list[bool]:
    """For each object from left to right, whether its label is right. Objects beyond the predicted places are wrong.

    All are wrong for an answer that is not finite.
    """
    predicted = [*(row["pred_labels"] if row.get("finite", True) else ()), *[-1] * len(row["boxes"])]
    return [label == guess for label, guess in zip(true_labels(row), predicted, strict=False)]


def true_labels(row: Row) -> list[int]:
    """The labels of the objects from left to right."""
    order = boxes.reading_order(np.asarray(row["boxes"], np.float64).reshape(-1, 4))
    return [row["labels"][i] for i in order]


def card(row: Row, name: Callable[[int], str]) -> Card:
    """The true and the predicted classes of all objects from left to right; the card of `classify` where the image has none."""
    base, true = classify.card(row, name), true_labels(row)
    if not true or not row.get("finite", True):
        return base
    predicted = row["pred_labels"][: len(true)]
    return dataclasses.replace(base, true=" ".join(map(name, true)), predicted=" ".join(map(name, predicted)), correct=true == predicted)


def gallery_score(rows: Sequence[Row]) -> FloatArray:
    """[n]: the share of correct labels, plus the probability of the first label if all are correct, else minus it."""
    share_n = np.array([float(np.mean(correct or [False])) for correct in map(correct_labels, rows)])
    score_n = np.array([row["top_scores"][0] for row in rows])
    return share_n + np.where(share_n == 1, score_n, -score_n)


TASK = dataclasses.replace(
    classify.TASK,
    outputs={"logits": ("b", "k"), "sequence": ("b", "n", "k")},
    postprocess=postprocess,
    prediction_columns=prediction_columns,
    answer=answer,
    card=card,
    gallery_score=gallery_score,
    headline_metrics=("sequence_accuracy", "label_accuracy", "top1"),
    best_metric="sequence_accuracy",
    objects="learns the classes of up to data.max_objects of them, from left to right; scores compare with all objects from left to right",
    summary="the classes of the objects in each image",
    gallery_order="by the share of correct labels, and by the probability of the first label",
)
