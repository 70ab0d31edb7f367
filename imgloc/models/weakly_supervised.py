"""A classifier whose score maps show where each class is, so that boxes can be found without learning from boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn
from flax.core import freeze

from imgloc.config.model_sections import part_class
from imgloc.config.registry import names
from imgloc.types import Outputs

TINY = {"backbone": {"name": "cnn", "stem": (4, 4), "middle": 4, "deep": 8}, "head": {"name": "cam", "channels": 8}}
VARIANTS = {
    **{name: {**TINY, "head": {"name": name}} for name in names("models.score_map_heads")},
    "resnet": {**TINY, "backbone": {"name": "resnet", "width": 8, "output_stride": 16}},
}


class Model(nn.Module):
    """Outputs: logits; score_maps (b, h', w', k); those that the head adds."""

    num_classes: int
    backbone: Mapping[str, Any] = freeze({"name": "cnn"})  # a file of imgloc/models/backbones and its fields
    head: Mapping[str, Any] = freeze({"name": "cam"})  # a file of imgloc/models/score_map_heads and its fields

    def __post_init__(self) -> None:
        self.backbone, self.head = freeze(dict(self.backbone)), freeze(dict(self.head))  # hashable, as `jax.jit` requires
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool, label_b: jax.Array | None = None) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1], and in training for their true classes (b,), which some heads read."""
        maps = self._part("backbone")(images, train=train)
        outputs: Outputs = self._part("head")(maps, self.num_classes, label_b=label_b, train=train)
        return outputs

    def _part(self, field: str) -> nn.Module:
        settings = dict(getattr(self, field))
        return part_class(field, settings.pop("name"))(**settings, name=field)
