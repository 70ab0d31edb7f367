"""One localizer, several trunks: convolutions, recurrent sweeps over the image, and both.

cnn: convolutions to stride 4 and 8. renet: layers of ReNet, no convolution before the heads (Visin et al., 2015, arXiv:1505.00393).
cnn_irnn: the CNN, and the context layer of Inside-Outside Net at stride 8 (Bell et al., 2016, arXiv:1512.04143).
conv_lstm: a CNN whose maps a convolutional LSTM looks at several times (Shi et al., 2015, arXiv:1506.04214).
The box's edges are expected positions under heat maps, found on maps at stride 4; the class comes from a dense layer over the last maps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError, check_at_least, check_dropout, chosen
from imgloc.models.backbones.maps import Cnn, ConvLstm, ReNets, conv_norm_relu
from imgloc.models.heads.class_and_box import class_and_box, class_and_edges
from imgloc.nn.conv import Conv
from imgloc.nn.directional import IRNN
from imgloc.nn.partial_predictions import ending_with
from imgloc.nn.pool import global_max_pool
from imgloc.types import Outputs

TINY = {
    "stem": (4, 4), "middle": 4, "deep": 8, "units": 4, "context_layers": 1, "looks": 2, "sweeps": (4, 4), "patches": (4, 1), "hidden": 8,
}  # fmt: skip
VARIANTS = {trunk: {**TINY, "trunk": trunk} for trunk in ("renet", "cnn_irnn", "conv_lstm")}  # held to the contract too

WITH_CELL = ("renet", "cnn_irnn")  # trunks whose cell can be chosen
SUMMARIES: dict[str, Callable[[jax.Array], jax.Array]] = {"max": global_max_pool, "all": lambda maps: maps.reshape(maps.shape[0], -1)}


class Model(nn.Module):
    """Outputs: logits; box where `locate`; of conv_lstm in evaluation, steps: logits (b, s, k) and box (b, s, 4) after each look;
    features: last (b, h, w, d), the trunk's maps, and edges (b, h, w, 4).
    """  # fmt: skip

    num_classes: int
    trunk: str = "cnn"  # renet, cnn_irnn, conv_lstm
    locate: bool = True  # with a box head
    stem: tuple[int, ...] = (16, 32)  # channels of the two stride-2 convolutions; this and the next two: of all but renet
    middle: int = 32  # channels at stride 4
    deep: int = 64  # channels at stride 8
    units: int = 32  # of each direction of cnn_irnn's context layers; of conv_lstm
    context_layers: int = 2  # of cnn_irnn
    looks: int = 4  # of conv_lstm
    sweeps: tuple[int, ...] = (32, 32)  # units of each direction of renet's layers
    patches: tuple[int, ...] = (4, 1)  # sides of the squares that renet's layers read their input in
    cell: str = ""  # of renet and cnn_irnn: a file of imgloc/nn/cells, with settings of its Layer in brackets; empty: the papers'
    summary: str = "max"  # what the class is read from: each channel's largest value in the last maps; or all: their values, as in ReNet
    hidden: int = 128  # units of the dense layer before the class
    dropout: float = 0.0  # around the dense layer

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(1, stem=self.stem, middle=self.middle, deep=self.deep, hidden=self.hidden)
        check_dropout(self.dropout)
        fine, last_bxsxhxwxd = self._trunk()(images, train=train)
        head = Head(self.num_classes, self.locate, self.middle, self.summary, self.hidden, self.dropout)
        nn.share_scope(self, head)
        outputs: dict[str, Any] = head(fine, last_bxsxhxwxd[:, -1], train=train)
        b, s = last_bxsxhxwxd.shape[:2]
        if s == 1:
            return outputs
        # Looks stand side by side in the batch; the answer is computed apart, so that it alone is where no steps are asked for.
        again = None if fine is None else jnp.repeat(fine, s, axis=0)
        looks = head(again, last_bxsxhxwxd.reshape(b * s, *last_bxsxhxwxd.shape[2:]), train=train)
        steps = {name: ending_with(array.reshape(b, s, -1), outputs[name]) for name, array in looks.items() if name != "features"}
        return {**outputs, "partial_predictions": {**steps, "seen": jnp.ones((b, s, 1, 1))}}

    def _trunk(self) -> Cnn | ConvLstm | ReNets:
        """The trunk of the fields. Raises UserError where there is none, and for a cell that it does not take."""
        convolutions = self.stem, self.middle, self.deep
        trunks: dict[str, Callable[[], Cnn | ConvLstm | ReNets]] = {
            "cnn": lambda: Cnn(*convolutions, name="trunk"),
            "renet": lambda: ReNets(self.sweeps, self.patches, self.cell or "gru", name="trunk"),
            "cnn_irnn": lambda: Cnn(*convolutions, _context(self.units), self.context_layers, self.cell or IRNN, name="trunk"),
            "conv_lstm": lambda: ConvLstm(*convolutions, self.units, self.looks, name="trunk"),
        }
        make = chosen("trunk (model.trunk)", self.trunk, trunks)
        if self.cell and self.trunk not in WITH_CELL:
            raise UserError(f"model.cell is '{self.cell}', but trunk '{self.trunk}' takes none; possible: {', '.join(WITH_CELL)}")
        return make()


class Head(nn.Module):
    """Outputs of one look: logits; box where `locate`; features. See the model for the fields."""

    num_classes: int
    locate: bool
    middle: int
    summary: str
    hidden: int
    dropout: float

    @nn.compact
    def __call__(self, fine_bxhxwxc: jax.Array | None, last_bxhxwxd: jax.Array, *, train: bool) -> dict[str, Any]:
        """From fine maps, None where the last ones are fine enough, and the trunk's last ones."""
        summarize = chosen("summary (model.summary)", self.summary, SUMMARIES)
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        dense = dropout(nn.relu(nn.Dense(self.hidden, name="dense")(dropout(summarize(last_bxhxwxd)))))
        if not self.locate:
            return {**class_and_box(dense, None, num_classes=self.num_classes), "features": {"last": last_bxhxwxd}}
        maps = last_bxhxwxd if fine_bxhxwxc is None else Neck(self.middle, name="neck")(fine_bxhxwxc, last_bxhxwxd, train=train)
        answer, edges = class_and_edges(maps, dense, num_classes=self.num_classes)
        return {**answer, "features": {"last": last_bxhxwxd, "edges": edges}}


def _context(units: int) -> int:
    check_at_least(1, units=units)  # without, it were a cnn
    return units


class Neck(nn.Module):
    """Fine maps that know what the coarse ones say."""

    features: int

    @nn.compact
    def __call__(self, fine_bxhxwxc: jax.Array, coarse_bxhxwxd: jax.Array, *, train: bool) -> jax.Array:
        """Maps (b, h, w, features), as fine as the fine ones."""
        context = nn.relu(Conv(self.features, (1, 1))(coarse_bxhxwxd))
        context = jax.image.resize(context, (*fine_bxhxwxc.shape[:3], self.features), "nearest")
        return conv_norm_relu(jnp.concatenate([fine_bxhxwxc, context], axis=-1), self.features, train)
