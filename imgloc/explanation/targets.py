"""The numbers that are explained: one for each image, as a function of the outputs of a model and of an index (b, m) of integers.

A class, an edge of the box, or the class or an edge of one detection: the last answers why a box is where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from imgloc import boxes
from imgloc.types import Outputs

EDGES = ("left", "top", "right", "bottom")  # of a box xyxy
#: (outputs, index_bxm) -> one number for each image. The meaning of the index is that of the objective.
Objective: TypeAlias = Callable[[Outputs, jax.Array], jax.Array]


def class_logit(outputs: Outputs, index_bx1: jax.Array) -> jax.Array:
    """The logit (b,) of a class; the index is the class."""
    return _at(outputs["logits"], index_bx1)


def class_probability(outputs: Outputs, index_bx1: jax.Array) -> jax.Array:
    """The probability (b,) of a class, a softmax over the classes; the index is the class."""
    return _at(jax.nn.softmax(outputs["logits"], axis=-1), index_bx1)


def box_edge(outputs: Outputs, index_bx1: jax.Array) -> jax.Array:
    """The position (b,) of an edge of the box, in [0, 1]; the index is that of EDGES."""
    return _at(outputs["box"], index_bx1)


def label_logit(outputs: Outputs, index_bx2: jax.Array) -> jax.Array:
    """The logit (b,) of a label of a sequence; the index is the position in the sequence and the label."""
    return _at(outputs["sequence"], index_bx2)


def detection_logit(outputs: Outputs, index_bx2: jax.Array) -> jax.Array:
    """The logit (b,) of a class at a location of a dense detector; the index is the location and the class."""
    return _at(outputs["dense_logits"], index_bx2)


def detection_edge(outputs: Outputs, index_bx2: jax.Array) -> jax.Array:
    """The position (b,) of an edge of the box of a location of a dense detector; the index is the location and that of EDGES."""
    return _at(outputs["dense_boxes"], index_bx2)


#: The objective whose numbers are in [0, 1], for methods that compare the scores of changed images.
BOUNDED: dict[Objective, Objective] = {class_logit: class_probability}


def predicted_class(outputs: Outputs) -> jax.Array:
    """The index (b, 1) of the class with the highest logit."""
    label_b: jax.Array = outputs["logits"].argmax(axis=-1)
    return label_b[:, None].astype(jnp.int32)


def detections(outputs: Outputs) -> jax.Array:
    """The number (b,) of detections, those with a score above 0; 0 for a model without them."""
    if "scores" not in outputs:
        return jnp.zeros(len(next(iter(jax.tree.leaves(dict(outputs))))), jnp.int32)
    count_b: jax.Array = (outputs["scores"] > 0).sum(axis=1)
    return count_b


def location_of_detection(outputs: Outputs, number: int) -> jax.Array:
    """The location and the class (b, 2) that detection `number` of a dense detector comes from.

    Detections do not record their location. It is the one whose clipped box is that of the detection; of several, the one with the
    highest score for its class.
    """
    box_bx1x4, label_b = outputs["boxes"][:, number, None], outputs["labels"][:, number]
    distance_bxl = jnp.abs(boxes.clip_to_image(outputs["dense_boxes"]) - box_bx1x4).sum(axis=-1)
    logit_bxl = jnp.take_along_axis(outputs["dense_logits"], label_b[:, None, None], axis=-1)[..., 0]
    same_bxl = distance_bxl <= distance_bxl.min(axis=1, keepdims=True) + 1e-6
    location_b = jnp.where(same_bxl, logit_bxl, -jnp.inf).argmax(axis=1)
    return jnp.stack([location_b, label_b], axis=-1).astype(jnp.int32)


def _at(array: jax.Array, index_bxm: jax.Array) -> jax.Array:
    chosen_b: jax.Array = array[(jnp.arange(len(array)), *index_bxm.T)].astype(jnp.float32)
    return chosen_b
