"""The linear recurrent unit (Orvieto et al., 2023, arXiv:2303.06349): a diagonal complex recurrence between two dense maps.

Its state needs no product, and as it is linear, steps may be taken together: one after another, or as an associative
scan, in log2(t) rounds over the whole sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.errors import UserError, chosen
from imgloc.nn.mesh_axes import vary_alike
from imgloc.nn.recurrence import Carry, check_sequence, held, time_first, where_given, without_padding

FORMS = ("scan", "associative")
Pair = tuple[jax.Array, jax.Array]  # real and imaginary parts: quicker than complex numbers on a CPU


def diagonal(
    inputs: Pair, decay: Pair, mask_bxt: jax.Array | None = None, *, reverse: bool = False, form: str = "scan"
) -> Pair:  # fmt: skip
    """States (b, t, n) of x_t = decay x_{t-1} + inputs_t, x_0 = 0, all complex; inputs (b, t, n), decay (n,).

    Mask and `reverse` are those of `imgloc.nn.recurrence.recur`; `form` is one of FORMS.
    """
    states_of: Callable[..., Pair] = chosen("form of lru", form, {"scan": _scanned, "associative": _associative})

    @jax.custom_jvp
    def recurrence(inputs: Pair, decay: Pair, mask: jax.Array | None) -> Pair:
        return states_of(inputs, decay, mask, reverse)

    @recurrence.defjvp
    def tangents(given: Any, moved: Any) -> tuple[Pair, Pair]:  # the same recurrence again: the decay's gradient is one sum, after it
        (_, decay, mask), (d_inputs, d_decay, _) = given, moved
        states = states_of(*given, reverse)
        kept, ends = (slice(1, None), (0, 1)) if reverse else (slice(-1), (1, 0))
        before = tuple(jnp.pad(a[kept], (ends, (0, 0), (0, 0))) for a in states)
        driven = _plus(d_inputs, _times(d_decay, before))
        return states, states_of(driven, decay, mask, reverse)

    inputs_txbxn, mask_txb = jax.tree.map(time_first, (inputs, mask_bxt))
    real, imaginary = recurrence(inputs_txbxn, decay, mask_txb)
    return time_first(real), time_first(imaginary)


def _scanned(inputs: Pair, decay: Pair, mask_txb: jax.Array | None, reverse: bool) -> Pair:
    def step(state: Carry, given: tuple[Pair, jax.Array | None]) -> tuple[Carry, Carry]:
        driven, mask_b = given
        new = where_given(mask_b, _plus(_times(decay, state), driven), state)
        return new, new

    leaves = jax.tree.leaves((inputs, decay, mask_txb))
    start: Carry = tuple(vary_alike(jnp.zeros_like(a[0]), *leaves)[0] for a in inputs)
    real, imaginary = jax.lax.scan(step, start, (inputs, mask_txb), reverse=reverse)[1]
    return real, imaginary


def _associative(inputs: Pair, decay: Pair, mask_txb: jax.Array | None, reverse: bool) -> Pair:
    decay_tx1xn = tuple(jnp.broadcast_to(part, (inputs[0].shape[0], 1, part.shape[0])) for part in decay)
    if mask_txb is not None:  # a step that is left out keeps the state: decay 1, input 0
        mask = mask_txb[..., None]
        decay_tx1xn = jnp.where(mask, decay_tx1xn[0], 1.0), jnp.where(mask, decay_tx1xn[1], 0.0)
        inputs = jnp.where(mask, inputs[0], 0.0), jnp.where(mask, inputs[1], 0.0)

    def follow(first: tuple[Pair, Pair], second: tuple[Pair, Pair]) -> tuple[Pair, Pair]:
        (decay, state), (further, driven) = first, second
        return _times(decay, further), _plus(_times(state, further), driven)

    # Along the first axis, whose slices are of one piece.
    states: Pair = jax.lax.associative_scan(follow, (decay_tx1xn, inputs), reverse=reverse)[1]
    return states


def _plus(a: Any, b: Any) -> Pair:
    return a[0] + b[0], a[1] + b[1]


def _times(a: Any, b: Any) -> Pair:
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
        """Outputs (b, t, features), held where the mask is False. Raises UserError for settings out of range and what is no sequence."""
        self._check()
        check_sequence(x_bxtxf, mask_bxt)
        n, d, dtype = self.states or self.features, self.features, x_bxtxf.dtype
        exact = jnp.promote_types(dtype, jnp.float32)
        b, t, f = x_bxtxf.shape
        x = without_padding(x_bxtxf, mask_bxt).reshape(b * t, f)  # a gradient of a matrix is then one product, not a sum over two axes
        u = x if f == d else nn.Dense(d, dtype=dtype, name="encoder")(x)

        log_rate = self.param("log_rate", _log_rate, (n,), self.ring)
        log_phase = self.param("log_phase", _log_phase, (n,), self.max_phase)
        radius, phase = jnp.exp(-jnp.exp(log_rate.astype(exact))), jnp.exp(log_phase.astype(exact))
        log_gamma = self.param("log_gamma", lambda _: 0.5 * jnp.log1p(-(radius**2)))
        into = self.param("into", nn.initializers.normal((2 * d) ** -0.5), (d, 2 * n))  # B: real columns, then imaginary ones
        out = self.param("out", nn.initializers.normal(n**-0.5), (2 * n, d))  # C: its imaginary rows negated
        skip = self.param("skip", nn.initializers.normal(1.0), (d,))  # D

        driven = (u @ (into * jnp.tile(jnp.exp(log_gamma), 2)).astype(dtype)).astype(exact).reshape(b, t, 2 * n)
        decay = radius * jnp.cos(phase), radius * jnp.sin(phase)
        states = diagonal((driven[..., :n], driven[..., n:]), decay, mask_bxt, reverse=reverse, form=self.form)
        y = jnp.concatenate(states, axis=-1).astype(dtype).reshape(b * t, 2 * n) @ out.astype(dtype) + skip.astype(dtype) * u
        if self.gated:
            value, gate = jnp.split(nn.Dense(2 * d, dtype=dtype, name="gates")(nn.gelu(y)), 2, axis=-1)
            y = value * nn.sigmoid(gate)
        return held(y.reshape(b, t, d), mask_bxt, reverse=reverse)

    def _check(self) -> None:
        """Refuse settings whose logarithms are not finite, and fewer states than none."""
        inner, outer = self.ring
        if not 0 < np.float32(inner**2) <= np.float32(outer**2) < 1:
            raise UserError(f"setting 'ring' of cell 'lru' is {self.ring}; possible: two radii above 0 and below 1, the smaller first")
        if not 1e-20 <= self.max_phase <= 2 * math.pi:  # a ten-millionth of it is to have a logarithm in float32
            raise UserError(f"setting 'max_phase' of cell 'lru' is {self.max_phase}; possible: above 1e-20, up to 6.2831 (2 pi)")
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
