"""A backbone of ReNet layers, which has no convolutions (Visin et al., 2015, arXiv:1505.00393)."""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.cell import Cell
from imgloc.nn.feature_maps import FeatureMaps
from imgloc.nn.spatial_rnn import ReNet

TINY = {"units": (4, 4), "patches": (4, 1)}


class Backbone(nn.Module):
    """A stack of ReNet layers."""

    units: tuple[int, ...] = (32, 32)  # of each direction, layer by layer
    patches: tuple[int, ...] = (4, 1)  # sides of the patches, layer by layer
    cell: Cell = "gru"

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> FeatureMaps:
        """Returns the last layer's states (b, 1, h', w', 2 units). Raises UserError unless each layer has a patch."""
        if len(self.units) != len(self.patches) or not self.units:
            raise UserError(f"ReNet of {len(self.units)} layers has {len(self.patches)} patch sizes; expected one for each layer")
        x = images_bxhxwxc
        for i, (units, patch) in enumerate(zip(self.units, self.patches, strict=True)):
            x = ReNet(units, patch, self.cell, name=f"layer{i}")(x)
        return (x[:, None],)
