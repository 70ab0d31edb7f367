"""The policy of Mnih et al., 2014 (arXiv:1406.6247): places sampled around a predicted mean, trained by REINFORCE.

No gradient passes through a sampled place, so only `imgloc.losses.reinforce` trains the mean. Without a context network the first
place is uniform, because nothing of the image has been read yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.models.policies.policy import Aim, Layers, Policy, PolicyInput
from imgloc.models.policies.sensors import crop_sensor


def _layers(hidden: int) -> Mapping[str, int]:
    return {"plan": hidden, "place": 2, "baseline": 1}


def aim(layers: Layers, inputs: PolicyInput) -> tuple[Aim, Mapping[str, jax.Array]]:
    """The next place; features: means (b, 2), baselines (b,) and, of sampled places, log_probability (b,)."""
    if inputs.is_start:
        return Aim(inputs.uniform_bx2), {}
    plan = nn.relu(layers["plan"](inputs.state_bxu))
    mean_bx2 = (1 + jnp.tanh(layers["place"](plan).astype(jnp.float32))) / 2
    sample_bx2 = jax.lax.stop_gradient(mean_bx2 + inputs.location_std * inputs.normal_bx2)
    features = {"means": mean_bx2, "baselines": layers["baseline"](plan).astype(jnp.float32)[:, 0]}
    if inputs.location_std > 0:
        features["log_probability"] = normal_log_prob(sample_bx2, mean_bx2, inputs.location_std)
    return Aim(sample_bx2.clip(0, 1)), features


def normal_log_prob(sample_bx2: jax.Array, mean_bx2: jax.Array, std: float) -> jax.Array:
    """The logarithm (b,) of the density of a normal distribution with the same standard deviation in both directions."""
    standardized_bx2 = (sample_bx2 - mean_bx2) / std
    log_prob_b: jax.Array = -0.5 * (standardized_bx2**2).sum(axis=-1) - math.log(2 * math.pi * std**2)
    return log_prob_b


POLICY = Policy(_layers, aim, crop_sensor, learns_from_reward=True)
