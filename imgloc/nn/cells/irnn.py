"""The IRNN: a simple recurrent network with relu whose recurrent kernel starts as the identity (Le et al., 2015, arXiv:1504.00941)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.cells.elman import elman
from imgloc.nn.recurrence import recurrent_scan


def projected_irnn(
    x_bxtxd: jax.Array, u_dxd: jax.Array, bias_d: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False
) -> jax.Array:  # fmt: skip
    """Returns the states (b, t, d) of h_t = relu(x_t + h_{t-1} U + bias), h_0 = 0; see `recurrent_scan` for the mask.

    The inputs are projected already, as in Inside-Outside Net (Bell et al., 2016, arXiv:1512.04143), whose directions share a projection.
    """
    return recurrent_scan(lambda total, _: (nn.relu(total),), 1, x_bxtxd, None, u_dxd, bias_d, mask_bxt, reverse=reverse)


class Layer(nn.Module):
    """h_t = relu(x_t W + h_{t-1} U + bias) with learned parameters: U starts as `scale` times the identity, W normal, bias 0."""

    features: int
    scale: float = 1.0  # of the identity; the paper's speech model uses 0.01, which forgets faster
    input_std: float = 0.001  # standard deviation of W
    input_projection: bool = True  # False: no W; inputs of d features are added unchanged
    form: str = ""  # only with W

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """Returns the states (b, t, features). Raises UserError if unprojected inputs have another number of features."""
        if self.input_std < 0:
            raise UserError(f"setting 'input_std' of cell 'irnn' is {self.input_std}; possible: at least 0")
        inputs, d, dtype = x_bxtxf.shape[-1], self.features, x_bxtxf.dtype
        w = self.param("kernel", nn.initializers.normal(self.input_std), (inputs, d)) if self.input_projection else None
        u = self.param("recurrent_kernel", lambda _, shape: self.scale * jnp.eye(*shape), (d, d)).astype(dtype)
        b = self.param("bias", nn.initializers.zeros, (d,)).astype(dtype)
        if w is not None:
            return elman(x_bxtxf, w.astype(dtype), u, b, mask_bxt, activation=nn.relu, reverse=reverse, form=self.form)
        if self.form:
            raise UserError(f"setting 'form' of cell 'irnn' is '{self.form}'; without input_projection it must be ''")
        if inputs != d:
            raise UserError(f"cell 'irnn' without input_projection got {inputs} features for states of {d}; expected equal numbers")
        return projected_irnn(x_bxtxf, u, b, mask_bxt, reverse=reverse)
