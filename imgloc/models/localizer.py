"""A localizer with a choice of backbones: convolutions, spatial recurrent layers, and both.

cnn: convolutions to stride 4 and 8. renet: ReNet layers, without convolutions before the heads (Visin et al., 2015, arXiv:1505.00393).
cnn_irnn: the CNN with the context layers of Inside-Outside Net at stride 8 (Bell et al., 2016, arXiv:1512.04143).
conv_lstm: a CNN whose maps a convolutional LSTM reads several times (Shi et al., 2015, arXiv:1506.04214).
The box edges are expected positions under heat maps at stride 4; a dense layer over the last maps predicts the class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import freeze
from jaxtyping import Array, Float

from imgloc.errors import UserError, check_at_least, look_up
from imgloc.models.backbones import cnn, conv_lstm, renet
from imgloc.models.backbones.cnn import conv_norm_relu
from imgloc.models.heads.class_and_box import class_and_box, class_and_edges
from imgloc.nn.cell import Cell, cell_name, freeze_cell
from imgloc.nn.conv import Conv
from imgloc.nn.dropout import Dropout
from imgloc.nn.partial_predictions import with_final_prediction
from imgloc.nn.pool import global_max_pool
from imgloc.nn.spatial_rnn import IRNN
from imgloc.types import Outputs

TINY = {
    "stem": (4, 4), "middle": 4, "deep": 8, "units": 4, "context_layers": 1, "num_passes": 2, "renet_units": (4, 4),
    "renet_patches": (4, 1), "hidden": 8,
}  # fmt: skip
VARIANTS = {backbone: {**TINY, "backbone": backbone} for backbone in ("renet", "cnn_irnn", "conv_lstm")}  # also covered by contract tests

INPUT_FIELDS = ("dropout",)  # inputs of the compiled training step

DEFAULT_CELLS: dict[str, Cell] = {"renet": "gru", "cnn_irnn": IRNN}  # the papers', of backbones with a choice of cells
POOLINGS: dict[str, Callable[[jax.Array], jax.Array]] = {"max": global_max_pool, "flatten": lambda maps: maps.reshape(maps.shape[0], -1)}


class Model(nn.Module):
    """Outputs: logits; box if `locate`; features: last (b, h, w, d), the backbone's last maps, and edges (b, h, w, 4).

    With the backbone conv_lstm in evaluation also partial_predictions: logits (b, s, k) and box (b, s, 4) after each pass.
    """

    num_classes: int
    backbone: str = "cnn"  # cnn, renet, cnn_irnn or conv_lstm
    locate: bool = True  # with a box head
    stem: tuple[int, ...] = (16, 32)  # channels of the two stride-2 convolutions; this and the next two: of all but renet
    middle: int = 32  # channels at stride 4
    deep: int = 64  # channels at stride 8
    units: int = 32  # of each direction of cnn_irnn's context layers; of conv_lstm
    context_layers: int = 2  # of cnn_irnn
    num_passes: int = 4  # of conv_lstm
    renet_units: tuple[int, ...] = (32, 32)  # of each direction of renet's layers
    renet_patches: tuple[int, ...] = (4, 1)  # sides of the patches that renet's layers read
    cell: Cell = freeze({"name": ""})  # of renet and cnn_irnn; an empty name: the cell of their paper
    pooling: str = "max"  # of the last maps for the class: each channel's maximum; or flatten: all values, as in ReNet
    hidden: int = 128  # units of the dense layer before the class
    dropout: float = 0.0  # before and after the dense layer

    def __post_init__(self) -> None:
        self.cell = freeze_cell(self.cell)
        super().__post_init__()

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool) -> Outputs:
        """Returns the outputs for images in [0, 1]."""
        check_at_least(1, stem=self.stem, middle=self.middle, deep=self.deep, hidden=self.hidden)
        *finer, last_bxsxhxwxd = self._make_backbone()(images, train=train)
        fine = finer[-1] if finer else None  # the last maps are fine enough to find edges on
        head = Head(self.num_classes, self.locate, self.middle, self.pooling, self.hidden, self.dropout)
        nn.share_scope(self, head)
        outputs: dict[str, Any] = head(fine, last_bxsxhxwxd[:, -1], train=train)
        b, s = last_bxsxhxwxd.shape[:2]
        if s == 1:
            return outputs
        # The passes are stacked along the batch. The outputs are computed separately, so that nothing else is computed for scoring.
        repeated = None if fine is None else jnp.repeat(fine, s, axis=0)
        passes = head(repeated, last_bxsxhxwxd.reshape(b * s, *last_bxsxhxwxd.shape[2:]), train=train)
        partial = {
            name: with_final_prediction(array.reshape(b, s, -1), outputs[name]) for name, array in passes.items() if name != "features"
        }
        return {**outputs, "partial_predictions": {**partial, "seen": jnp.ones((b, s, 1, 1))}}

    def _make_backbone(self) -> cnn.Backbone | conv_lstm.Backbone | renet.Backbone:
        """Raises UserError for an unknown backbone, and for a cell with a backbone that takes none."""
        convolutions = self.stem, self.middle, self.deep
        named = cell_name(self.cell)
        cell = self.cell if named else DEFAULT_CELLS.get(self.backbone, "")
        # The submodule keeps the name that parameters of trained models have.
        backbones: dict[str, Callable[[], cnn.Backbone | conv_lstm.Backbone | renet.Backbone]] = {
            "cnn": lambda: cnn.Backbone(*convolutions, name="trunk"),
            "renet": lambda: renet.Backbone(self.renet_units, self.renet_patches, cell, name="trunk"),
            "cnn_irnn": lambda: cnn.Backbone(*convolutions, self.units, self.context_layers, cell, name="trunk"),
            "conv_lstm": lambda: conv_lstm.Backbone(*convolutions, self.units, self.num_passes, name="trunk"),
        }
        make = look_up("backbone (model.backbone)", self.backbone, backbones)
        if named and self.backbone not in DEFAULT_CELLS:
            raise UserError(f"model.cell is '{named}', but backbone '{self.backbone}' takes none; possible: {', '.join(DEFAULT_CELLS)}")
        if self.backbone == "cnn_irnn":
            check_at_least(1, units=self.units)  # 0 would be the backbone cnn
        return make()


class Head(nn.Module):
    """The outputs of one pass: logits; box if `locate`; features. The fields are those of the model."""

    num_classes: int
    locate: bool
    middle: int
    pooling: str
    hidden: int
    dropout: float | jax.Array

    @nn.compact
    def __call__(self, fine_bxhxwxc: jax.Array | None, last_bxhxwxd: jax.Array, *, train: bool) -> dict[str, Any]:
        """Returns the outputs for the fine maps and the last maps of a backbone."""
        pool = look_up("pooling (model.pooling)", self.pooling, POOLINGS)
        dropout = Dropout(self.dropout, deterministic=not train)
        dense = dropout(nn.relu(nn.Dense(self.hidden, name="dense")(dropout(pool(last_bxhxwxd)))))
        if not self.locate:
            return {**class_and_box(dense, None, num_classes=self.num_classes), "features": {"last": last_bxhxwxd}}
        maps = last_bxhxwxd if fine_bxhxwxc is None else Neck(self.middle, name="neck")(fine_bxhxwxc, last_bxhxwxd, train=train)
        outputs, edges = class_and_edges(maps, dense, num_classes=self.num_classes)
        return {**outputs, "features": {"last": last_bxhxwxd, "edges": edges}}


class Neck(nn.Module):
    """Merges coarse maps into fine maps, as a feature pyramid does."""

    features: int

    @nn.compact
    def __call__(self, fine_bxhxwxc: jax.Array, coarse_bxhxwxd: jax.Array, *, train: bool) -> jax.Array:
        """Returns maps (b, h, w, features) of the fine resolution."""
        context = nn.relu(Conv(self.features, (1, 1))(coarse_bxhxwxd))
        context = jax.image.resize(context, (*fine_bxhxwxc.shape[:3], self.features), "nearest")
        return conv_norm_relu(jnp.concatenate([fine_bxhxwxc, context], axis=-1), self.features, train)
