"""A differentiable policy: the sampling of a spatial transformer that shifts and scales (Jaderberg et al., 2015, arXiv:1506.02025).

It chooses the center and the side of its window; the first window is learned and the same for all images.
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
    """The next window."""
    return window_aim(layers["window"](inputs.state_bxu).astype(jnp.float32)), {}


_sensor = functools.partial(window_sensor, weigh=lambda _, *window: glimpse.bilinear_weights(*window))
POLICY = Policy(layers=lambda _: {"window": 3}, aim=aim, make_sensor=_sensor, is_differentiable=True)
