"""Targets as users write them: a class, an edge of the box, a label of a sequence, or a detection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from imgloc.errors import UserError, unknown
from imgloc.explanation import targets
from imgloc.explanation.targets import EDGES, Objective
from imgloc.types import IntArray, Outputs

FORMS = "a class, edge:left (top, right, bottom), label:0, detection:0 or detection:0:left"


class Target(NamedTuple):
    """The explained number: an objective, its index as a function of the outputs for the images, and its description for one index."""

    objective: Objective
    choose: Callable[[Outputs], jax.Array]  # -> index_bxm
    describe: Callable[[IntArray], str]
    reads: str  # the output of the model
    label: int | None = None  # the position of the class in an index, if it has one
    detection: int | None = None  # the number of the explained detection, if it is one

    def missing(self, detections: int) -> UserError | None:
        """The error for an image with this number of detections, if the explained detection is not among them."""
        if self.detection is None or self.detection < detections:
            return None
        possible = f"possible: detection:0 to detection:{detections - 1}" if detections else "there is nothing to explain"
        return UserError(f"there is no detection {self.detection}: the model finds {detections} in this image, counted from 0; {possible}")


def parse_target(text: str, classes: Sequence[str], outputs: Collection[str]) -> Target:
    """The target of a text for a model with these outputs; an empty text is the predicted class, label or best detection.

    Raises UserError for another text, and for one that the model has no output for.
    """
    target = _parse(text or _default(outputs), classes)
    if target.reads not in outputs:
        raise UserError(f"target '{text}' requires a model with the output '{target.reads}'; this one has {', '.join(sorted(outputs))}")
    return target


def _default(outputs: Collection[str]) -> str:
    possible = {"logits": "class", "sequence": "label:0", "dense_logits": "detection:0", "box": "edge:left"}
    found = [text for name, text in possible.items() if name in outputs]
    if not found:
        raise UserError(f"the model has no output that can be explained; expected one of {', '.join(possible)}")
    return found[0]


def _parse(text: str, classes: Sequence[str]) -> Target:
    if text in classes:
        return Target(targets.class_logit, _always(classes.index(text)), lambda index: classes[int(index[0])], "logits", 0)
    if text == "class":
        return Target(targets.class_logit, targets.predicted_class, lambda index: classes[int(index[0])], "logits", 0)
    kind, *parts = text.split(":")
    if kind == "edge" and len(parts) == 1:
        return Target(targets.box_edge, _always(_edge(parts[0])), lambda index: f"{EDGES[int(index[0])]} edge", "box")
    if kind == "label" and len(parts) == 1:
        place = _number(text, parts[0])
        return Target(targets.label_logit, _predicted_label(place), lambda index: f"{classes[int(index[1])]} at {place}", "sequence", 1)
    if kind == "detection" and len(parts) in (1, 2):
        return _detection(_number(text, parts[0]), parts[1:], classes)
    raise UserError(f"{unknown('target', text, [*classes, 'edge:left', 'label:0', 'detection:0'])}; expected {FORMS}")


def _detection(number: int, edge: Sequence[str], classes: Sequence[str]) -> Target:
    if not edge:
        return Target(
            targets.detection_logit,
            lambda outputs: targets.location_of_detection(outputs, number),
            lambda index: f"{classes[int(index[1])]}, detection {number}",
            "dense_logits",
            1,
            number,
        )
    place = _edge(edge[0])

    def choose(outputs: Outputs) -> jax.Array:
        return targets.location_of_detection(outputs, number).at[:, 1].set(place)

    words = f"{edge[0]} edge of detection {number}"
    return Target(targets.detection_edge, choose, lambda _: words, "dense_boxes", detection=number)


def _always(value: int) -> Callable[[Outputs], jax.Array]:
    def choose(outputs: Outputs) -> jax.Array:
        b = len(next(iter(jax.tree.leaves(dict(outputs)))))
        return jnp.full((b, 1), value, jnp.int32)

    return choose


def _predicted_label(place: int) -> Callable[[Outputs], jax.Array]:
    def choose(outputs: Outputs) -> jax.Array:
        length = outputs["sequence"].shape[1]
        if place >= length:
            raise UserError(f"target 'label:{place}' is beyond the {length} labels of the model; possible: label:0 to label:{length - 1}")
        label_b = outputs["sequence"][:, place].argmax(axis=-1)
        return jnp.stack([jnp.full_like(label_b, place), label_b], axis=-1).astype(jnp.int32)

    return choose


def _edge(name: str) -> int:
    if name not in EDGES:
        raise unknown("edge", name, EDGES)
    return EDGES.index(name)


def _number(text: str, number: str) -> int:
    if not number.isdecimal() or len(number) > 6:
        raise UserError(f"target '{text}' needs a number below a million, got '{number}'; expected {FORMS}")
    return int(number)
