"""The IRNN: Elman's recurrence with relu that starts as an integrator (Le, Jaitly and Hinton, 2015, arXiv:1504.00941)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.recurrent.cells.elman import elman


class Layer(nn.Module):
    """States (b, t, d) of h_t = relu(x_t W + h_{t-1} U + bias): U starts as `scale` times the identity, W normal, bias 0."""

    features: int
    scale: float = 1.0  # of the identity; the paper's speech model takes 0.01, to forget sooner
    input_deviation: float = 0.001  # standard deviation of W
    form: str = ""

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """States (b, t, features)."""
        parameters = (
            self.param("kernel", nn.initializers.normal(self.input_deviation), (x_bxtxf.shape[-1], self.features)),
            self.param("recurrent_kernel", lambda _, shape: self.scale * jnp.eye(*shape), (self.features, self.features)),
            self.param("bias", nn.initializers.zeros, (self.features,)),
        )
        w, u, b = (a.astype(x_bxtxf.dtype) for a in parameters)
        return elman(x_bxtxf, w, u, b, mask_bxt, activation=nn.relu, reverse=reverse, form=self.form)
