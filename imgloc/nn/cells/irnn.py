"""The IRNN: Elman's recurrence with relu that starts as an integrator (Le, Jaitly and Hinton, 2015, arXiv:1504.00941)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.affine import affine_recur
from imgloc.nn.cells.elman import elman


def mapped_irnn(
    x_bxtxd: jax.Array, u_dxd: jax.Array, bias_d: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of h_t = relu(x_t + h_{t-1} U + bias), h_0 = 0: the inputs are mapped already.

    So Inside-Outside Net has it (Bell et al., 2016, arXiv:1512.04143), whose directions share the map.
    Mask and `reverse` are those of `imgloc.nn.recurrence.recur`.
    """

    return affine_recur(lambda total, _: (nn.relu(total),), 1, x_bxtxd, None, u_dxd, bias_d, mask_bxt, reverse=reverse)


class Layer(nn.Module):
    """States (b, t, d) of h_t = relu(x_t W + h_{t-1} U + bias): U starts as `scale` times the identity, W normal, bias 0."""

    features: int
    scale: float = 1.0  # of the identity; the paper's speech model takes 0.01, to forget sooner
    input_deviation: float = 0.001  # standard deviation of W
    input_map: bool = True  # False: no W; inputs of d features are added as they are
    form: str = ""  # with W

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """States (b, t, features). UserError where inputs of other features are to be added as they are."""
        if self.input_deviation < 0:
            raise UserError(f"setting 'input_deviation' of cell 'irnn' is {self.input_deviation}; possible: at least 0")
        inputs, d, dtype = x_bxtxf.shape[-1], self.features, x_bxtxf.dtype
        w = self.param("kernel", nn.initializers.normal(self.input_deviation), (inputs, d)) if self.input_map else None
        u = self.param("recurrent_kernel", lambda _, shape: self.scale * jnp.eye(*shape), (d, d)).astype(dtype)
        b = self.param("bias", nn.initializers.zeros, (d,)).astype(dtype)
        if w is not None:
            return elman(x_bxtxf, w.astype(dtype), u, b, mask_bxt, activation=nn.relu, reverse=reverse, form=self.form)
        if self.form:
            raise UserError(f"irnn(input_map=False) has no product with its input; setting 'form' is '{self.form}', possible: ''")
        if inputs != d:
            raise UserError(f"irnn(input_map=False) adds inputs of {inputs} features to states of {d}; possible: as many of both")
        return mapped_irnn(x_bxtxf, u, b, mask_bxt, reverse=reverse)
