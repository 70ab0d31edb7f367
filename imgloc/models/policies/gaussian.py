"""A differentiable policy: a grid of Gaussian filters as in DRAW (Gregor et al., 2015, arXiv:1502.04623).

It chooses the center, side and blur of its window; the first window is learned and the same for all images. Unlike in DRAW there is no
intensity, windows are no larger than the image, and the recurrent core is not an LSTM. The initial window has a quarter of the image's
side: windows of the whole image show so little of small objects that no gradient leads them to shrink.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from imgloc.models.policies.policy import Aim, Layers, Policy, PolicyInput
from imgloc.models.policies.sensors import window_aim, window_sensor
from imgloc.nn import glimpse


def aim(layers: Layers, inputs: PolicyInput) -> tuple[Aim, Mapping[str, jax.Array]]:
    """The next window, with its blur."""
    outputs_bx4 = layers["window"](inputs.state_bxu).astype(jnp.float32)
    return window_aim(outputs_bx4)._replace(blur_b=jnp.exp(outputs_bx4[:, 3])), {}


def _weigh(aim: Aim, window_bx4: jax.Array, size: int, height: int, width: int) -> glimpse.Weights:
    assert aim.blur_b is not None, "see `aim`"
    stride_b = window_bx4[:, 2] * max(height, width) / max(size - 1, 1)
    return glimpse.gaussian_weights(window_bx4, 0.5 * aim.blur_b * stride_b + 1e-3, size, height, width)


POLICY = Policy(layers=lambda _: {"window": 4}, aim=aim, make_sensor=functools.partial(window_sensor, weigh=_weigh), is_differentiable=True)
