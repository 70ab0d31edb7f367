"""Training images as vectors with their truths: what classifiers and regressors of descriptors are fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from imgloc.config.model_sections import part_class
from imgloc.errors import UserError
from imgloc.nn.apply import as_inputs
from imgloc.types import Batch, BoolArray, FloatArray, IntArray


class TrainingFeatures(NamedTuple):
    """n images of training."""

    features_nxd: FloatArray  # float32
    labels_n: IntArray  # of the images; -1: none
    boxes_nx4: FloatArray  # of the first object of each image, xyxy in [0, 1] of the input
    has_box_n: BoolArray


def descriptor(section: Mapping[str, Any]) -> nn.Module:
    """The module that a section `model.descriptor` names; it has no variables, and returns features (b, d) of images (b, h, w, c)."""
    settings = dict(section)
    return part_class("descriptor", settings.pop("name"))(**settings)


def describe(section: Mapping[str, Any], batches: Iterator[Batch]) -> TrainingFeatures:
    """The training batches, described by a section `model.descriptor`."""
    module = descriptor(section)
    return described_by(lambda images_bxhxwxc: module.apply({}, images_bxhxwxc), batches)


def describe_for(model: Any, batches: Iterator[Batch]) -> TrainingFeatures:
    """The training batches, described as a model with a field `descriptor` does: its `prepare`."""
    return describe(model.descriptor, batches)


def described_by(function: Callable[[jax.Array], Any], batches: Iterator[Batch]) -> TrainingFeatures:
    """The training batches; `function` returns features (b, d) of images (b, h, w, c) in [0, 1] and is compiled."""
    compiled = jax.jit(lambda images_bxhxwxc: function(as_inputs(images_bxhxwxc, np.float32)))
    parts = [(compiled(batch.images_bxhxwxc), batch.label_b, batch.boxes_bxnx4[:, 0], batch.object_mask_bxn[:, 0]) for batch in batches]
    return TrainingFeatures(*(np.concatenate([np.asarray(array) for array in arrays]) for arrays in zip(*parts, strict=True)))


def labelled(training: TrainingFeatures, num_classes: int) -> tuple[FloatArray, IntArray]:
    """The features and labels of the images that have a class.

    Raises UserError where there is none, or where only one of several classes occurs.
    """
    known_n = training.labels_n >= 0
    found = len(np.unique(training.labels_n[known_n]))
    if found < min(num_classes, 2):
        least = "no class" if num_classes == 1 else "fewer than two classes"
        raise UserError(f"the training examples have {least}; raise train.steps or train.batch_size, or use other data")
    return training.features_nxd[known_n], training.labels_n[known_n]


def boxed(training: TrainingFeatures) -> tuple[FloatArray, FloatArray]:
    """The features and boxes of the images that have a box. Raises UserError where none has one."""
    if not training.has_box_n.any():
        raise UserError(
            "no training example has a box; use data with boxes, or fit classes alone: --config.task=classify --config.model.locate=False"
        )
    return training.features_nxd[training.has_box_n], training.boxes_nx4[training.has_box_n]
