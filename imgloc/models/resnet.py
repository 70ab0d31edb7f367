"""Residual networks of 18 and 50 layers with heads for the class and the box; see `imgloc.models.backbones.resnet`."""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc.models.backbones.resnet import Backbone
from imgloc.models.heads.class_and_box import class_and_box, class_and_edges, is_from_maps
from imgloc.types import Outputs

TINY = {"width": 8}
VARIANTS = {name: {**TINY, "score_maps": True, "box_from": name} for name in ("pooled", "maps")}


class Model(nn.Module):
    """Outputs: logits; box with `locate`; score_maps if set; features.

    These are stem (stride 2), stage1 (4) to stage4 (`output_stride`), pooled (b, c) and edges.
    """

    num_classes: int
    depth: int = 18  # or 50
    width: int = 64  # channels of the stem; each stage has twice as many as the one before
    output_stride: int = 32  # image pixels per cell of the last feature map: 8, 16 or 32
    mean: tuple[float, ...] = (0.0,)  # subtracted from the images: one number, or one for each channel
    std: tuple[float, ...] = (1.0,)  # that the images are divided by then
    locate: bool = True  # adds a box head
    box_from: str = "pooled"  # features; or maps: one heat map for each edge, finer with a smaller output_stride
    score_maps: bool = False  # adds class activation maps

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        from_maps = is_from_maps(self.box_from)
        backbone = Backbone(self.depth, self.width, self.output_stride, self.mean, self.std)
        nn.share_scope(self, backbone)
        *finer, last_bxsxhxwxd = backbone(images, train=train)
        x = last_bxsxhxwxd[:, 0]
        features = dict(zip(("stem", "stage1", "stage2", "stage3", "stage4"), (*finer, x), strict=True))
        features["pooled"] = pooled = x.mean(axis=(1, 2))
        if self.locate and from_maps:
            outputs, features["edges"] = class_and_edges(x, pooled, num_classes=self.num_classes, score_maps=self.score_maps)
        else:
            box_features, maps = pooled if self.locate else None, x if self.score_maps else None
            outputs = class_and_box(pooled, box_features, num_classes=self.num_classes, maps_bxhxwxc=maps)
        return {**outputs, "features": features}
