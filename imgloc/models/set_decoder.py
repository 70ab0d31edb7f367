"""A detector that predicts a set: a backbone, a decoder over the cells of its maps, and an object for each step of the decoder.

The recurrent decoder names objects one by one until it stops, as ReInspect (Stewart et al., 2016, arXiv:1506.04878); the other one answers
with learned queries, all at once, as DETR (Carion et al., 2020, arXiv:2005.12872). Nothing removes duplicates: the losses `set_class`,
`set_box` and `set_presence` teach each object to one step, which `imgloc/losses/matchings` chooses.
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
from imgloc.models.heads.feature_pyramid import FeaturePyramid
from imgloc.models.heads.objects import ObjectHead
from imgloc.nn.feature_maps import maps_by_stride
from imgloc.types import MAX_PARTIAL_STEPS, Outputs

TINY = {
    "backbone": {"name": "cnn", "stem": (4, 4), "middle": 4, "deep": 8}, "channels": 8, "hidden": 8, "max_detections": 5,
    "decoder": {"name": "recurrent", "units": 8},
}  # fmt: skip
VARIANTS = {
    "gru": {**TINY, "decoder": {"name": "recurrent", "units": 8, "cell": "gru"}},
    "queries": {**TINY, "decoder": {"name": "queries", "units": 8, "layers": 1, "heads": 2}},
}
EVALUATION_FIELDS = ("stop_below",)
WAVES = 4  # frequencies of the position of a cell: 1, 2, 4 and 8 half periods along a side of the image


class Model(nn.Module):
    """Outputs: object_logits (b, m, k), object_boxes (b, m, 4), object_presence (b, m) of m steps; features: attention (b, m, h', w').

    In evaluation also boxes (b, m, 4), scores (b, m) and labels (b, m), the detections in the order of the steps; a score is the
    probability of an object times that of its class, 0 after the decoder has stopped. A recurrent decoder also has
    partial_predictions: the objects named by each step. `seen` is where it has attended to by then.
    """

    num_classes: int
    backbone: Mapping[str, Any] = freeze({"name": "cnn"})  # a file of imgloc/models/backbones and its fields
    decoder: Mapping[str, Any] = freeze({"name": "recurrent"})  # a file of imgloc/models/set_decoders and its fields
    stride: int = 4  # of the map that the decoder attends to: pixels of the image for each cell
    channels: int = 64  # of that map
    hidden: int = 128  # units of the dense layer before the predictions
    max_detections: int = 10  # steps of the decoder, at least data.max_objects
    stop_below: float = 0.01  # the decoder stops before the first step whose probability of an object is below this; 0: never

    def __post_init__(self) -> None:
        self.backbone, self.decoder = freeze(dict(self.backbone)), freeze(dict(self.decoder))  # hashable, as `jax.jit` requires
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(1, channels=self.channels, hidden=self.hidden, max_detections=self.max_detections)
        if not 0 <= self.stop_below <= 1:
            raise UserError(f"model.stop_below must be from 0 to 1, got {self.stop_below}")
        settings = dict(self.backbone)
        backbone = part_class("backbone", settings.pop("name"))(**settings, name="backbone")
        settings = dict(self.decoder)
        decoder: Any = part_class("decoder", settings.pop("name"))(**settings, name="decoder")
        if decoder.is_sequential and self.max_detections > MAX_PARTIAL_STEPS:
            raise UserError(f"model.max_detections must be at most {MAX_PARTIAL_STEPS} for this decoder, got {self.max_detections}")

        maps = maps_by_stride(backbone(images, train=train), images)
        (cells,) = FeaturePyramid((self.stride,), self.channels, name="pyramid")(maps, train=train)
        b, h, w, _ = cells.shape
        center_lx2, waves_lxp = _positions(h, w)
        waves = jnp.broadcast_to(waves_lxp.astype(cells.dtype), (b, *waves_lxp.shape))
        memory = jnp.concatenate([cells.reshape(b, h * w, -1), waves], axis=-1)
        states, attention_bxmxl = decoder(memory, self.max_detections, train=train)
        context = jnp.einsum("bml,bld->bmd", attention_bxmxl.astype(memory.dtype), memory)
        center_bxmx2 = attention_bxmxl @ center_lx2
        head = ObjectHead(self.num_classes, self.hidden, name="head")
        found = head(jnp.concatenate([states, context], axis=-1), center_bxmx2)
        outputs: dict[str, Any] = {**found, "features": {"attention": attention_bxmxl.reshape(b, -1, h, w)}}
        if train:
            return outputs
        outputs |= _detections(found, self.stop_below if decoder.is_sequential else 0.0)
        if decoder.is_sequential:
            outputs["partial_predictions"] = _by_step(outputs)
        return outputs


def _positions(height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """The centers (l, 2) of the cells of a map in [0, 1], and sines and cosines of them, (l, 4 WAVES)."""
    y, x = jnp.meshgrid((jnp.arange(height) + 0.5) / height, (jnp.arange(width) + 0.5) / width, indexing="ij")
    center_lx2 = jnp.stack([x, y], axis=-1).reshape(-1, 2)
    angle = (center_lx2[:, :, None] * (jnp.pi * 2 ** jnp.arange(WAVES))).reshape(len(center_lx2), -1)
    return center_lx2, jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


def _detections(found: Mapping[str, jax.Array], stop_below: float) -> dict[str, jax.Array]:
    """`boxes`, `scores` and `labels` of the steps before the decoder stops; later steps are zeros."""
    presence = nn.sigmoid(found["object_presence"].astype(jnp.float32))
    probability = jax.nn.softmax(found["object_logits"].astype(jnp.float32))
    stopped = jnp.cumsum((presence < stop_below).astype(jnp.int32), axis=1) > 0
    return {
        "boxes": jnp.where(stopped[..., None], 0.0, found["object_boxes"]),
        "scores": jnp.where(stopped, 0.0, presence * probability.max(axis=-1)),
        "labels": jnp.where(stopped, 0, probability.argmax(axis=-1).astype(jnp.int32)),
    }


def _by_step(outputs: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The detections (b, s, m, ...) named by each step s; later ones are zeros."""
    steps = outputs["scores"].shape[1]
    is_named_sxm = jnp.tril(jnp.ones((steps, steps), jnp.bool_))
    named = {name: jnp.where(is_named_sxm, outputs[name][:, None], 0) for name in ("scores", "labels")}
    named["boxes"] = jnp.where(is_named_sxm[..., None], outputs["boxes"][:, None], 0.0)
    attention = outputs["features"]["attention"]
    return {**named, "seen": jax.lax.cummax(attention / attention.max(axis=(2, 3), keepdims=True), axis=1)}
