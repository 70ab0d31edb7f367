"""A classifier and localizer with any backbone: its last maps are averaged, and dense layers predict the class and the box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn
from flax.core import freeze

from imgloc.config.model_sections import part_class
from imgloc.errors import check_at_least, look_up
from imgloc.models.heads.class_and_box import class_and_box, class_and_edges, is_from_maps
from imgloc.nn.dropout import Dropout
from imgloc.types import Outputs

TINY = {"backbone": {"name": "cnn", "stem": (4, 4), "middle": 4, "deep": 8}}
VARIANTS = {
    "mobilenet_v3": {"backbone": {"name": "mobilenet_v3", "width": 0.1}, "hidden": 8, "activation": "hard_swish"},
    "maps": {**TINY, "box_from": "maps"},
    "efficientnet": {"backbone": {"name": "efficientnet", "width": 0.1, "depth": 0.25, "last": 16}},
    "convnext": {"backbone": {"name": "convnext", "channels": (4, 8, 8, 8), "blocks": (1, 1, 1, 1)}, "norm": True},
}
INPUT_FIELDS = ("dropout",)  # inputs of the compiled training step
ACTIVATIONS = {"relu": nn.relu, "hard_swish": nn.hard_swish}


class Model(nn.Module):
    """Outputs: logits; box with `locate`; features: last (b, h, w, d), the backbone's last maps, pooled (b, d), edges if from maps."""

    num_classes: int
    backbone: Mapping[str, Any] = freeze({"name": "resnet"})  # a file of imgloc/models/backbones and its fields
    norm: bool = False  # layer normalization of the pooled features
    hidden: int = 0  # units of a dense layer before the class; 0: none
    activation: str = "relu"  # of that layer: relu or hard_swish
    dropout: float = 0.0  # of the features that the class is predicted from
    locate: bool = True  # adds a box head
    box_from: str = "pooled"  # features; or maps: one heat map for each edge, finer with a smaller output stride of the backbone

    def __post_init__(self) -> None:
        self.backbone = freeze(dict(self.backbone))  # hashable, as `jax.jit` requires
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(0, hidden=self.hidden)
        from_maps = is_from_maps(self.box_from)
        activation = look_up("activation (model.activation)", self.activation, ACTIVATIONS)
        settings = dict(self.backbone)
        *_, last_bxsxhxwxd = part_class("backbone", settings.pop("name"))(**settings, name="backbone")(images, train=train)
        features = {"last": last_bxsxhxwxd[:, -1]}
        features["pooled"] = pooled = features["last"].mean(axis=(1, 2))
        x = nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, name="norm")(pooled) if self.norm else pooled
        if self.hidden:
            x = activation(nn.Dense(self.hidden, name="hidden")(x))
        x = Dropout(self.dropout, deterministic=not train)(x)
        if self.locate and from_maps:
            outputs, features["edges"] = class_and_edges(features["last"], x, num_classes=self.num_classes)
        else:
            outputs = class_and_box(x, pooled if self.locate else None, num_classes=self.num_classes)
        return {**outputs, "features": features}
