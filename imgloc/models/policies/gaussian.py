"""A differentiable policy: a grid of Gaussian filters as in DRAW (Gregor et al., 2015, arXiv:1502.04623).

It chooses the center, side and blur of its window; the first window is learned and the same for all images. Unlike in DRAW there is no
intensity, windows are no larger than the image, and the recurrent core is not an LSTM. The initial window has a quarter of the image's
side: windows of the whole image show so little of small objects that no gradient leads them to shrink.
"""

from __future__ import annotations

import functools

import jax

from imgloc.models.policies.policy import Aim, Policy
from imgloc.models.policies.sensors import choose_window, window_sensor
from imgloc.nn import glimpse


def _weigh(aim: Aim, window_bx4: jax.Array, size: int, height: int, width: int) -> glimpse.Weights:
    assert aim.side_b is not None
    assert aim.blur_b is not None
    stride_b = aim.side_b * max(height, width) / max(size - 1, 1)
    return glimpse.gaussian_weights(window_bx4, 0.5 * aim.blur_b * stride_b + 1e-3, size, height, width)


_sensor = functools.partial(window_sensor, weigh=_weigh)
POLICY = Policy(layers=lambda _: {"window": 4}, aim=choose_window, make_sensor=_sensor, is_differentiable=True)
