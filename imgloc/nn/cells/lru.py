"""The linear recurrent unit (Orvieto et al., 2023, arXiv:2303.06349): a diagonal complex recurrence between two dense layers.

The recurrence is linear and elementwise, so it is computed either step by step, or as an associative scan in log2(t) rounds over the
whole sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.errors import UserError, look_up
from imgloc.nn.masking import Carry, check_sequence, hold_last, time_major, where_unmasked, zero_masked
from imgloc.nn.mesh_axes import match_varying_axes

FORMS = ("scan", "associative")
Complex: TypeAlias = tuple[jax.Array, jax.Array]  # real and imaginary parts, which are faster than complex numbers on a CPU


def diagonal_recurrence(
    inputs: Complex, decay: Complex, mask_bxt: jax.Array | None = None, *, reverse: bool = False, form: str = "scan"
) -> Complex:  # fmt: skip
    """Returns the states (b, t, n) of x_t = decay x_{t-1} + inputs_t, x_0 = 0, all complex; inputs (b, t, n), decay (n,).

    Masked steps keep the state. `reverse` goes from the last step to the first. `form` is one of FORMS.
    """
    compute_states: Callable[..., Complex] = look_up("form of lru", form, {"scan": _sequential, "associative": _associative})

    @jax.custom_jvp
    def recurrence(inputs: Complex, decay: Complex, mask: jax.Array | None) -> Complex:
        return compute_states(inputs, decay, mask, reverse)

    @recurrence.defjvp
    def recurrence_jvp(primals: Any, tangents: Any) -> tuple[Complex, Complex]:  # the same recurrence: the gradient of decay is one sum
        (_, decay, mask), (d_inputs, d_decay, _) = primals, tangents
        states = compute_states(*primals, reverse)
        kept, ends = (slice(1, None), (0, 1)) if reverse else (slice(-1), (1, 0))
        before = tuple(jnp.pad(a[kept], (ends, (0, 0), (0, 0))) for a in states)
        return states, compute_states(_add(d_inputs, _multiply(d_decay, before)), decay, mask, reverse)

    inputs_txbxn, mask_txb = jax.tree.map(time_major, (inputs, mask_bxt))
    real, imaginary = recurrence(inputs_txbxn, decay, mask_txb)
    return time_major(real), time_major(imaginary)


def _sequential(inputs: Complex, decay: Complex, mask_txb: jax.Array | None, reverse: bool) -> Complex:
    def step(state: Carry, step_inputs: tuple[Complex, jax.Array | None]) -> tuple[Carry, Carry]:
        x, mask_b = step_inputs
        new = where_unmasked(mask_b, _add(_multiply(decay, state), x), state)
        return new, new

    leaves = jax.tree.leaves((inputs, decay, mask_txb))
    start: Carry = tuple(match_varying_axes(jnp.zeros_like(a[0]), *leaves)[0] for a in inputs)
    real, imaginary = jax.lax.scan(step, start, (inputs, mask_txb), reverse=reverse)[1]
    return real, imaginary


def _associative(inputs: Complex, decay: Complex, mask_txb: jax.Array | None, reverse: bool) -> Complex:
    decay_tx1xn = tuple(jnp.broadcast_to(part, (inputs[0].shape[0], 1, part.shape[0])) for part in decay)
    if mask_txb is not None:  # a masked step keeps the state: decay 1, input 0
        mask = mask_txb[..., None]
        decay_tx1xn = jnp.where(mask, decay_tx1xn[0], 1.0), jnp.where(mask, decay_tx1xn[1], 0.0)
        inputs = jnp.where(mask, inputs[0], 0.0), jnp.where(mask, inputs[1], 0.0)

    def compose(first: tuple[Complex, Complex], second: tuple[Complex, Complex]) -> tuple[Complex, Complex]:
        (decay, state), (next_decay, x) = first, second
        return _multiply(decay, next_decay), _add(_multiply(state, next_decay), x)

    # Along the first axis, whose slices are contiguous.
    states: Complex = jax.lax.associative_scan(compose, (decay_tx1xn, inputs), reverse=reverse)[1]
    return states


def _add(a: Any, b: Any) -> Complex:
    return a[0] + b[0], a[1] + b[1]


def _multiply(a: Any, b: Any) -> Complex:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


class Layer(nn.Module):
    """An LRU with learned parameters, by default followed by the paper's gated linear unit.

    The inputs u are first projected to `features` if they have another number. `x_t = lambda x_{t-1} + gamma B u_t`,
    `y = Re(C x) + D u`, and the output is `GLU(gelu(y))`. `|lambda|^2` is initialized uniformly between the squares of the ring's radii,
    the phase uniformly up to `max_phase`, and the learned gamma as `sqrt(1 - |lambda|^2)`. The recurrence is computed in float32 at least,
    because bfloat16 has no radius between 0.996 and 1.
    """

    features: int
    state_size: int = 0  # complex numbers of the state; 0: equal to features
    ring: tuple[float, float] = (0.9, 0.999)  # smallest and largest initial `|lambda|`; above 0, below 1
    max_phase: float = 0.3142  # largest initial phase of lambda, radians; the paper's pi / 10 for long sequences
    gated: bool = True  # False: the output is y, a linear function of the sequence
    form: str = "scan"  # or associative

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """Returns (b, t, features), constant at masked steps. Raises UserError for settings out of range and inputs of other shapes."""
        self._check()
        check_sequence(x_bxtxf, mask_bxt)
        n, d, dtype = self.state_size or self.features, self.features, x_bxtxf.dtype
        exact = jnp.promote_types(dtype, jnp.float32)
        b, t, f = x_bxtxf.shape
        x = zero_masked(x_bxtxf, mask_bxt).reshape(b * t, f)  # so that a gradient of a matrix is one product, not a sum over two axes
        u = x if f == d else nn.Dense(d, dtype=dtype, name="encoder")(x)

        log_rate = self.param("log_rate", _init_log_rate, (n,), self.ring)
        log_phase = self.param("log_phase", _init_log_phase, (n,), self.max_phase)
        radius, phase = jnp.exp(-jnp.exp(log_rate.astype(exact))), jnp.exp(log_phase.astype(exact))
        log_gamma = self.param("log_gamma", lambda _: 0.5 * jnp.log1p(-(radius**2)))
        into = self.param("into", nn.initializers.normal((2 * d) ** -0.5), (d, 2 * n))  # B: real columns, then imaginary ones
        out = self.param("out", nn.initializers.normal(n**-0.5), (2 * n, d))  # C: its imaginary rows negated
        skip = self.param("skip", nn.initializers.normal(1.0), (d,))  # D

        inputs = (u @ (into * jnp.tile(jnp.exp(log_gamma), 2)).astype(dtype)).astype(exact).reshape(b, t, 2 * n)
        decay = radius * jnp.cos(phase), radius * jnp.sin(phase)
        states = diagonal_recurrence((inputs[..., :n], inputs[..., n:]), decay, mask_bxt, reverse=reverse, form=self.form)
        y = jnp.concatenate(states, axis=-1).astype(dtype).reshape(b * t, 2 * n) @ out.astype(dtype) + skip.astype(dtype) * u
        if self.gated:
            value, gate = jnp.split(nn.Dense(2 * d, dtype=dtype, name="gates")(nn.gelu(y)), 2, axis=-1)
            y = value * nn.sigmoid(gate)
        return hold_last(y.reshape(b, t, d), mask_bxt, reverse=reverse)

    def _check(self) -> None:
        """Raises UserError for settings whose logarithms are not finite, and for a negative size of the state."""
        if len(self.ring) != 2 or not 0 < np.float32(self.ring[0] ** 2) <= np.float32(self.ring[1] ** 2) < 1:
            raise UserError(f"setting 'ring' of cell 'lru' is {self.ring}; possible: two radii above 0 and below 1, the smaller first")
        if not 1e-20 <= self.max_phase <= 2 * math.pi:  # a ten-millionth of it must have a logarithm in float32
            raise UserError(f"setting 'max_phase' of cell 'lru' is {self.max_phase}; possible: above 1e-20, up to 6.2831 (2 pi)")
        if self.state_size < 0:
            raise UserError(f"setting 'state_size' of cell 'lru' is {self.state_size}; possible: at least 1, or 0 for as many as features")


def _init_log_rate(key: jax.Array, shape: tuple[int, ...], ring: tuple[float, float]) -> jax.Array:
    """Returns log(-log |lambda|), |lambda|^2 uniform between the squares of the ring's radii."""
    inner, outer = ring
    squared = jax.random.uniform(key, shape, minval=inner**2, maxval=outer**2)
    return jnp.log(-0.5 * jnp.log(squared))


def _init_log_phase(key: jax.Array, shape: tuple[int, ...], largest: float) -> jax.Array:
    """Returns the logarithm of a phase uniform up to the largest, but not of 0."""
    return jnp.log(largest * jnp.maximum(jax.random.uniform(key, shape), 1e-7))
