"""A CNN backbone whose maps a convolutional LSTM reads several times (Shi et al., 2015, arXiv:1506.04214)."""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc.models.backbones.cnn import conv_norm_relu, stride_4_maps
from imgloc.nn.cell import make_layer
from imgloc.nn.feature_maps import FeatureMaps
from imgloc.nn.partial_predictions import evenly_spaced_steps
from imgloc.nn.pool import max_pool

TINY = {"stem": (4, 4), "middle": 4, "deep": 8, "units": 4, "num_passes": 2}
MAX_PARTIAL_PREDICTIONS = 32


class Backbone(nn.Module):
    """Convolutions to stride 8, and a convolutional LSTM that passes over their maps several times."""

    stem: tuple[int, ...] = (16, 32)  # channels of the stride-2 convolutions
    middle: int = 32  # channels at stride 4
    deep: int = 64  # channels at stride 8
    units: int = 32  # of the LSTM
    num_passes: int = 4

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array, *, train: bool) -> FeatureMaps:
        """Returns the maps at stride 4, and the LSTM's states at stride 8 after the last pass.

        In evaluation these are the states after each pass, or after MAX_PARTIAL_PREDICTIONS evenly spaced passes.
        """
        fine = stride_4_maps(images_bxhxwxc, self.stem, self.middle, train)
        coarse = conv_norm_relu(max_pool(fine), self.deep, train)
        states = make_layer({"name": "conv_lstm", "num_passes": self.num_passes}, self.units, name="looks")(coarse[:, None])
        return fine, states[:, -1:] if train else states[:, evenly_spaced_steps(self.num_passes, MAX_PARTIAL_PREDICTIONS)]
