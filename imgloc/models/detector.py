"""A dense detector of any number of objects: a backbone, a feature pyramid and an anchor-free head.

Every location of the maps predicts a score for each class and a box, as in FCOS (Tian et al., 2019, arXiv:1904.01355). The score also
estimates how well the box fits (Li et al., 2020, arXiv:2006.04388), so that there is no branch for centerness. Duplicates are removed
on the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import freeze

from imgloc.config.model_sections import part_class
from imgloc.errors import UserError, check_at_least
from imgloc.models.heads.dense import DenseHead
from imgloc.models.heads.feature_pyramid import FeaturePyramid
from imgloc.nn.detections import Suppression, select_detections
from imgloc.nn.feature_maps import maps_by_stride
from imgloc.types import Outputs

TINY = {
    "backbone": {"name": "cnn", "stem": (4, 4), "middle": 4, "deep": 8}, "strides": (8, 16), "channels": 8, "head_layers": 1,
    "max_detections": 5, "candidates": 10,
}  # fmt: skip
VARIANTS = {
    "resnet": {**TINY, "backbone": {"name": "resnet", "width": 8}, "strides": (8, 16, 32)},
    "renet": {**TINY, "backbone": {"name": "renet", "units": (4, 4), "patches": (4, 1)}, "strides": (4, 8), "soft_nms_sigma": 0.5},
}
EVALUATION_FIELDS = Suppression._fields


class Model(nn.Module):
    """Outputs: dense_logits (b, l, k), dense_boxes (b, l, 4), cells (b, l, 4) of l locations.

    In evaluation also boxes (b, n, 4), scores (b, n) and labels (b, n), the detections; see `imgloc.nn.detections`.
    """

    num_classes: int
    backbone: Mapping[str, Any] = freeze({"name": "cnn"})  # a file of imgloc/models/backbones and its fields
    strides: tuple[int, ...] = (8, 16, 32)  # of the maps that objects are found on: pixels of the image for each location
    channels: int = 64  # of the pyramid and of the head
    head_layers: int = 2  # convolutions of each of the two towers before the predictions
    max_detections: int = Suppression().max_detections  # this and the next four: see `Suppression`
    candidates: int = Suppression().candidates
    nms_iou: float = Suppression().nms_iou
    soft_nms_sigma: float = Suppression().soft_nms_sigma
    min_score: float = Suppression().min_score

    def __post_init__(self) -> None:
        self.backbone = freeze(dict(self.backbone))  # hashable, as `jax.jit` requires
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(1, channels=self.channels)
        check_at_least(0, head_layers=self.head_layers)
        if not self.strides or list(self.strides) != sorted(set(self.strides)):
            raise UserError(f"model.strides must be rising numbers such as (8, 16, 32), got {self.strides}")
        how = Suppression(*(getattr(self, name) for name in Suppression._fields))
        how.check()
        settings = dict(self.backbone)
        backbone = part_class("backbone", settings.pop("name"))(**settings, name="backbone")
        maps = maps_by_stride(backbone(images, train=train), images)
        pyramid = FeaturePyramid(self.strides, self.channels, name="pyramid")(maps, train=train)
        head = DenseHead(self.num_classes, self.channels, self.head_layers, name="head")
        dense = head(pyramid, self.strides, images, train=train)
        if train:
            return dense
        scores = nn.sigmoid(dense["dense_logits"].astype(jnp.float32))
        return {**dense, **select_detections(scores, dense["dense_boxes"], how)}
