"""The seed's LSTM: it reads an image row by row, and a dense layer reads the class from its last state. Elman beside it.

As published: 50 units, sigmoid gates, relu on candidate and output. Parameters are laid out and
initialized as Keras does: one matrix for the gates input, forget, candidate, output together, so
`kernel`, `recurrent_kernel` and `bias` can be exchanged with a Keras layer's as they are. (Kernels
drawn for each gate alone, as `imgloc.ops.recurrent.LSTM` has them, come out up to twice as large.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import chosen
from imgloc.models.recurrent import ACTIVATIONS
from imgloc.ops.recurrent import GATES, elman, lstm
from imgloc.types import Outputs

TINY = {"features": 8}
CELLS = {"lstm": (lstm, len(GATES)), "elman": (elman, 1)}  # the recurrence and its number of gates


class Model(nn.Module):
    """Outputs: logits; features: rows (b, h, features), the state after each row."""

    num_classes: int
    cell: str = "lstm"  # or elman
    features: int = 50
    activation: str = "relu"  # or tanh

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]: h steps of w c numbers."""
        recurrence, gates = chosen("cell (model.cell)", self.cell, CELLS)
        activation = chosen("activation (model.activation)", self.activation, ACTIVATIONS)
        b, h, w, c = images.shape
        glorot, orthogonal = nn.initializers.glorot_uniform(), nn.initializers.orthogonal()
        parameters = (
            self.param("kernel", glorot, (w * c, gates * self.features)),
            self.param("recurrent_kernel", orthogonal, (self.features, gates * self.features)),
            self.param("bias", _forget_bias_one, (gates * self.features,), self.features),
        )
        kernels = (a.astype(images.dtype) for a in parameters)
        rows = recurrence(images.reshape(b, h, w * c), *kernels, activation=activation)
        logits = nn.Dense(self.num_classes, kernel_init=glorot, name="classes")(rows[:, -1])
        return {"logits": logits, "features": {"rows": rows}}


def _forget_bias_one(_: jax.Array, shape: tuple[int], features: int) -> jax.Array:
    """Zeros, but ones for the forget gate where there is one (Gers et al., 2000)."""
    forget = GATES.index("f")
    return jnp.zeros(shape).at[forget * features : (forget + 1) * features].set(1.0)
