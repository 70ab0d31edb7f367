"""Group normalization that sums over pixels first, so that a CPU reduces whole rows of channels instead of slices of a group."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn


def group_norm(x_bxhxwxc: jax.Array, scale_c: jax.Array, bias_c: jax.Array, *, groups: int, epsilon: float = 1e-6) -> jax.Array:
    """Normalizes each image's groups of channels to mean 0 and variance 1, then scales and shifts by channel (Wu and He, 2018).

    Moments are float32; the variance is the mean of squares minus the squared mean, at least 0, as in linen. Raises ValueError
    unless the groups divide the channels.
    """
    b, height, width, channels = x_bxhxwxc.shape
    if channels % groups:
        raise ValueError(f"group_norm: {channels} channels cannot be divided into {groups} groups")
    x = x_bxhxwxc.astype(jnp.promote_types(x_bxhxwxc.dtype, jnp.float32))

    def moment(sum_bxc: jax.Array) -> jax.Array:
        members = sum_bxc.reshape(b, groups, channels // groups)
        mean = members.sum(axis=-1, keepdims=True) / (height * width * channels // groups)
        return jnp.broadcast_to(mean, members.shape).reshape(b, channels)

    mean_bxc, square_bxc = moment(x.sum(axis=(1, 2))), moment(jnp.square(x).sum(axis=(1, 2)))
    variance_bxc = jnp.maximum(square_bxc - jnp.square(mean_bxc), 0)
    factor_bxc = jax.lax.rsqrt(variance_bxc + epsilon) * scale_c
    shift_bxc = bias_c - mean_bxc * factor_bxc
    return (x * factor_bxc[:, None, None] + shift_bxc[:, None, None]).astype(x_bxhxwxc.dtype)


class GroupNorm(nn.Module):
    """`group_norm` with learned scale and bias; fields and parameters have the names and shapes of `flax.linen.GroupNorm`."""

    num_groups: int = 32
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x_bxhxwxc: jax.Array) -> jax.Array:
        shape = (x_bxhxwxc.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        return group_norm(x_bxhxwxc, scale, bias, groups=self.num_groups, epsilon=self.epsilon)
