"""The strides of maps, for images of any height."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from imgloc.models.backbones import cnn, convnext, efficientnet_lite, renet, resnet
from imgloc.nn.feature_maps import maps_by_stride

HEIGHTS = (33, 48, 64, 100, 321)
BACKBONES = {
    "resnet": (resnet.Backbone(width=4), {2: 1, 4: 1, 8: 2, 16: 4, 32: 8}),
    "dilated": (resnet.Backbone(width=4, output_stride=8), {2: 1, 4: 1, 8: 8}),
    "cnn": (cnn.Backbone((4, 4), 4, 8), {4: 1, 8: 2}),
    "efficientnet_lite": (efficientnet_lite.Backbone(0.25, 0.25), {2: 1, 4: 1, 8: 1, 16: 3, 32: 10}),
    "convnext": (convnext.Backbone((4, 8, 16, 32), (1, 1, 1, 1)), {4: 1, 8: 2, 16: 4, 32: 8}),  # whose sides are rounded down
    "renet": (renet.Backbone((4,), (4,)), {4: 1}),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_the_deepest_maps_of_each_stride_are_found(name: str) -> None:
    backbone, expected = BACKBONES[name]
    for height in HEIGHTS if name != "renet" else (64, 100):  # whose patches must divide the sides
        images = jnp.zeros((1, height, 64, 1))
        maps = jax.eval_shape(lambda key, images=images: backbone.init_with_output(key, images, train=False)[0], jax.random.key(0))
        found = maps_by_stride(tuple(jnp.zeros(each.shape) for each in maps), images)
        assert list(found) == list(expected), height
        depth = {stride: each.shape[-1] for stride, each in found.items()}
        assert depth == {stride: found[min(found)].shape[-1] * ratio for stride, ratio in expected.items()} or name == "efficientnet_lite"
