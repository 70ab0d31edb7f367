"""The linear recurrent unit (Orvieto et al., 2023, arXiv:2303.06349): a diagonal complex recurrence between two dense maps.

Its state needs no product, and as it is linear, steps may be taken together: one after another, or as an associative
scan, in log2(t) rounds over the whole sequence.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.errors import UserError, chosen
from imgloc.recurrent.scan import recur, time_first, without_padding

FORMS = ("scan", "associative")
Pair = tuple[jax.Array, jax.Array]  # real and imaginary parts: quicker than complex numbers on a CPU


def diagonal(
    inputs: Pair, decay: Pair, mask_bxt: jax.Array | None = None, *, reverse: bool = False, form: str = "scan"
) -> Pair:  # fmt: skip
    """States (b, t, n) of x_t = decay x_{t-1} + inputs_t, x_0 = 0, all complex; inputs (b, t, n), decay (n,).

    Mask and `reverse` are those of `imgloc.recurrent.scan.recur`; `form` is one of FORMS.
    """
    return chosen("form of lru", form, {"scan": _scanned, "associative": _associative})(inputs, decay, mask_bxt, reverse)


def _scanned(inputs: Pair, decay: Pair, mask_bxt: jax.Array | None, reverse: bool) -> Pair:
    n = inputs[0].shape[-1]
    both = time_first(jnp.concatenate(inputs, axis=-1))  # one array to carry: real parts, then imaginary ones
    straight, across = jnp.tile(decay[0], 2), jnp.concatenate([-decay[1], decay[1]])

    def step(carry: tuple[jax.Array, ...], given: jax.Array) -> tuple[jax.Array, ...]:
        (state,) = carry
        return (straight * state + across * jnp.roll(state, n, axis=-1) + given,)

    start = (jnp.zeros_like(both[0]),)
    states = recur(step, start, both, (straight, across), mask_bxt, reverse=reverse)
    return states[..., :n], states[..., n:]


def _associative(inputs: Pair, decay: Pair, mask_bxt: jax.Array | None, reverse: bool) -> Pair:
    decay_1xtxn = tuple(jnp.broadcast_to(part, (1, inputs[0].shape[1], part.shape[0])) for part in decay)
    if mask_bxt is not None:  # a step that is left out keeps the state: decay 1, input 0
        mask = mask_bxt[..., None]
        decay_1xtxn = jnp.where(mask, decay_1xtxn[0], 1.0), jnp.where(mask, decay_1xtxn[1], 0.0)
        inputs = jnp.where(mask, inputs[0], 0.0), jnp.where(mask, inputs[1], 0.0)

    def follow(first: Any, second: Any) -> Any:
        (a, b), (c, d) = first, second
        moved = _times(b, c)
        return _times(a, c), (moved[0] + d[0], moved[1] + d[1])

    states: Pair = jax.lax.associative_scan(follow, (decay_1xtxn, inputs), axis=1, reverse=reverse)[1]
    return states


def _times(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


class Layer(nn.Module):
    """Outputs (b, t, features) of an LRU, by default through the paper's gated linear unit.

    The input is first mapped to `features` where it has others. u -> x_t = lambda x_{t-1} + gamma B u_t -> y = Re(C x) + D u, then
    GLU(gelu(y)). |lambda|^2 starts uniform between the squares of the ring's radii, its phase uniform up to `max_phase`; gamma starts
    at sqrt(1 - |lambda|^2) and is learned. The recurrence is computed in float32 at least: bfloat16 has no radius
    between 0.996 and 1.
    """

    features: int
    states: int = 0  # complex numbers of the state; 0: as many as features
    ring: tuple[float, float] = (0.9, 0.999)  # radii between which |lambda| starts; above 0, below 1
    max_phase: float = 0.3142  # of lambda at the start, radians; the paper's pi / 10 for long sequences
    gated: bool = True  # False: y itself, a linear map of the sequence
    form: str = "scan"  # or associative

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """Outputs (b, t, features); where the mask is False they say nothing. Raises UserError for settings out of range."""
        self._check()
        n, d, dtype = self.states or self.features, self.features, x_bxtxf.dtype
        exact = jnp.promote_types(dtype, jnp.float32)
        x = without_padding(x_bxtxf, mask_bxt)
        u = x if x.shape[-1] == d else nn.Dense(d, dtype=dtype, name="encoder")(x)

        log_rate = self.param("log_rate", _log_rate, (n,), self.ring)
        log_phase = self.param("log_phase", _log_phase, (n,), self.max_phase)
        radius, phase = jnp.exp(-jnp.exp(log_rate.astype(exact))), jnp.exp(log_phase.astype(exact))
        log_gamma = self.param("log_gamma", lambda _: 0.5 * jnp.log1p(-(radius**2)))
        into = self.param("into", nn.initializers.normal((2 * d) ** -0.5), (d, 2 * n))  # B: real columns, then imaginary ones
        out = self.param("out", nn.initializers.normal(n**-0.5), (2 * n, d))  # C: its imaginary rows negated
        skip = self.param("skip", nn.initializers.normal(1.0), (d,))  # D

        driven = (u @ (into * jnp.tile(jnp.exp(log_gamma), 2)).astype(dtype)).astype(exact)
        decay = radius * jnp.cos(phase), radius * jnp.sin(phase)
        real, imaginary = diagonal((driven[..., :n], driven[..., n:]), decay, mask_bxt, reverse=reverse, form=self.form)
        y = jnp.concatenate([real, imaginary], axis=-1).astype(dtype) @ out.astype(dtype) + skip.astype(dtype) * u
        if not self.gated:
            return y
        value, gate = jnp.split(nn.Dense(2 * d, dtype=dtype, name="gates")(nn.gelu(y)), 2, axis=-1)
        return value * nn.sigmoid(gate)

    def _check(self) -> None:
        """Refuse settings whose logarithms are not finite, and fewer states than none."""
        inner, outer = self.ring
        if not 0 < np.float32(inner**2) <= np.float32(outer**2) < 1:
            raise UserError(f"setting 'ring' of cell 'lru' is {self.ring}; possible: two radii above 0 and below 1, the smaller first")
        if not 0 < self.max_phase <= 2 * math.pi:
            raise UserError(f"setting 'max_phase' of cell 'lru' is {self.max_phase}; possible: above 0, up to 6.2831 (2 pi)")
        if self.states < 0:
            raise UserError(f"setting 'states' of cell 'lru' is {self.states}; possible: at least 1, or 0 for as many as features")


def _log_rate(key: jax.Array, shape: tuple[int, ...], ring: tuple[float, float]) -> jax.Array:
    """log(-log |lambda|), |lambda|^2 uniform between the squares of the ring's radii."""
    inner, outer = ring
    squared = jax.random.uniform(key, shape, minval=inner**2, maxval=outer**2)
    return jnp.log(-0.5 * jnp.log(squared))


def _log_phase(key: jax.Array, shape: tuple[int, ...], largest: float) -> jax.Array:
    """log of a phase uniform up to the largest; never of 0."""
    return jnp.log(largest * jnp.maximum(jax.random.uniform(key, shape), 1e-7))
