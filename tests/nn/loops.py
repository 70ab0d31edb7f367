"""Reference loops: every cell, and stacks of cells, by their formulas in double precision, one sequence at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import scipy.signal
from flax import linen as nn
from scipy.special import expit as sigmoid

from imgloc.nn.cell import Cell, make_layer
from imgloc.nn.masking import Carry, time_major, where_unmasked
from imgloc.nn.stack import Stack

INPUTS, UNITS, MAP = 3, 4, (3, 4)
Loop = Callable[[Any, np.ndarray], np.ndarray]  # parameters, inputs (t, ...) -> states (t, ...)


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def elman(p: Any, x: np.ndarray, f: Any = np.tanh) -> np.ndarray:
    h, states = np.zeros(len(p["recurrent_kernel"])), []
    for now in x:
        h = f(now @ p["kernel"] + h @ p["recurrent_kernel"] + p["bias"])
        states.append(h)
    return np.array(states).reshape(len(x), *h.shape)


def lstm(p: Any, x: np.ndarray, f: Any = np.tanh) -> np.ndarray:
    h, states = np.zeros(len(p["recurrent_kernel"])), []
    c = h
    for now in x:
        in_gate, forget_gate, candidate, out_gate = np.split(now @ p["kernel"] + h @ p["recurrent_kernel"] + p["bias"], 4)
        c = sigmoid(forget_gate) * c + sigmoid(in_gate) * f(candidate)
        h = sigmoid(out_gate) * f(c)
        states.append(h)
    return np.array(states).reshape(len(x), *h.shape)


def gru(p: Any, x: np.ndarray) -> np.ndarray:
    h, states = np.zeros(len(p["recurrent_kernel"])), []
    for now in x:
        (ir, iz, into), (hr, hz, hn) = np.split(now @ p["kernel"] + p["bias"], 3), np.split(h @ p["recurrent_kernel"], 3)
        r, z = sigmoid(ir + hr), sigmoid(iz + hz)
        h = (1 - z) * np.tanh(into + r * (hn + p["recurrent_bias"])) + z * h
        states.append(h)
    return np.array(states).reshape(len(x), *h.shape)


def minimal_gru(p: Any, x: np.ndarray, replaces: bool = False) -> np.ndarray:
    h, states = np.zeros(len(p["recurrent_kernel"])), []
    for now in x:
        (gate, into), (hf, hn) = np.split(now @ p["kernel"] + p["bias"], 2), np.split(h @ p["recurrent_kernel"], 2)
        f = sigmoid(gate + hf)
        n = np.tanh(into + f * (hn + p["recurrent_bias"]))
        h = (1 - f) * h + f * n if replaces else f * h + (1 - f) * n
        states.append(h)
    return np.array(states).reshape(len(x), *h.shape)


def dense(p: Any, x: np.ndarray) -> np.ndarray:
    return x @ p["kernel"] + p["bias"]


def lru(p: Any, x: np.ndarray, gated: bool = True) -> np.ndarray:
    u = dense(p["encoder"], x) if "encoder" in p else x
    n = len(p["log_rate"])
    decay = np.exp(-np.exp(p["log_rate"]) + 1j * np.exp(p["log_phase"]))
    b, c = (p["into"][:, :n] + 1j * p["into"][:, n:]).T, (p["out"][:n] - 1j * p["out"][n:]).T
    state, outputs = np.zeros(n, complex), []
    for now in u:
        state = decay * state + np.exp(p["log_gamma"]) * (b @ now)
        outputs.append((c @ state).real + p["skip"] * now)
    y = np.array(outputs).reshape(len(x), -1 if outputs else len(p["skip"]))
    if not gated:
        return y
    gelu = y / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    value, gate = np.split(dense(p["gates"], gelu), 2, axis=-1)
    return value * sigmoid(gate)


def correlate(maps_hxwxc: np.ndarray, kernel_kxkxcxd: np.ndarray) -> np.ndarray:
    channels = range(maps_hxwxc.shape[-1])
    one = lambda d: sum(scipy.signal.correlate2d(maps_hxwxc[..., c], kernel_kxkxcxd[..., c, d], "same") for c in channels)  # noqa: E731
    return np.stack([one(d) for d in range(kernel_kxkxcxd.shape[-1])], axis=-1)


def conv_lstm(p: Any, x: np.ndarray) -> np.ndarray:
    h, states = np.zeros((*x.shape[1:3], p["recurrent_kernel"].shape[2])), []
    c = h
    for now in x:
        total = correlate(now, p["kernel"]) + correlate(h, p["recurrent_kernel"]) + p["bias"]
        in_gate, forget_gate, candidate, out_gate = np.split(total, 4, axis=-1)
        c = sigmoid(forget_gate) * c + sigmoid(in_gate) * np.tanh(candidate)
        h = sigmoid(out_gate) * np.tanh(c)
        states.append(h)
    return np.array(states).reshape(len(x), *h.shape)


def both_ways(p: Any, x: np.ndarray, cell: Loop) -> np.ndarray:
    return np.concatenate([cell(p["forward"], x), cell(p["backward"], x[::-1])[::-1]], axis=-1)


def stack(p: Any, x: np.ndarray, layer: Loop, layers: int) -> np.ndarray:
    for i in range(layers):
        x = layer(p[f"layer{i}"], x)
    return x


def residual_stack(p: Any, x: np.ndarray, layer: Loop, layers: int) -> np.ndarray:
    x = dense(p["encoder"], x)
    for i in range(layers):
        normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        x = x + layer(p[f"layer{i}"], normal * p[f"norm{i}"]["scale"] + p[f"norm{i}"]["bias"])
    return x


CELLS: dict[str, tuple[Cell, Loop]] = {
    "elman": ("elman", elman),
    "elman, sigmoid": ({"name": "elman", "activation": "sigmoid"}, functools.partial(elman, f=sigmoid)),
    "elman, relu": ({"name": "elman", "activation": "relu"}, functools.partial(elman, f=relu)),
    "irnn": ("irnn", functools.partial(elman, f=relu)),
    "lstm": ("lstm", lstm),
    "lstm, relu, projected first": ({"name": "lstm", "activation": "relu", "form": "projected first"}, functools.partial(lstm, f=relu)),
    "gru": ("gru", gru),
    "minimal_gru": ("minimal_gru", minimal_gru),
    "minimal_gru, replaces": ({"name": "minimal_gru", "gate": "replaces"}, functools.partial(minimal_gru, replaces=True)),
    "lru": ("lru", lru),
    "lru, associative": ({"name": "lru", "form": "associative", "gated": False, "state_size": 3}, functools.partial(lru, gated=False)),
    "conv_lstm": ("conv_lstm", conv_lstm),
}
TWO_WAYS = functools.partial(both_ways, cell=gru)
STACKS: dict[str, tuple[nn.Module, Loop]] = {
    "two layers of both": (Stack("gru", UNITS, 2, bidirectional=True), functools.partial(stack, layer=TWO_WAYS, layers=2)),
    "residual of both": (
        Stack("lru", UNITS, 2, residual=True, bidirectional=True),
        functools.partial(residual_stack, layer=functools.partial(both_ways, cell=lru), layers=2),
    ),
    "residual": (Stack("lru", UNITS, 2, residual=True), functools.partial(residual_stack, layer=lru, layers=2)),
}
EVERYTHING = {**{name: (make_layer(cell, UNITS), loop) for name, (cell, loop) in CELLS.items()}, **STACKS}


def inputs_of(name: str, b: int, t: int) -> np.ndarray:
    """Inputs (b, t, f), or (b, t, h, w, f) where maps are read."""
    between = MAP if name == "conv_lstm" else ()
    return np.random.default_rng(1).standard_normal((b, t, *between, INPUTS))


def parameters_of(name: str) -> Any:
    """Parameters of the right shapes, none of them 0, in double precision."""
    x = inputs_of(name, 1, 2).astype(np.float32)
    shapes = jax.eval_shape(EVERYTHING[name][0].init, jax.random.key(0), x)["params"]
    rng = np.random.default_rng(2)
    return jax.tree.map(lambda a: 0.5 * rng.standard_normal(a.shape), shapes)


def run(name: str, params: Any, x: np.ndarray, mask_bxt: np.ndarray | None = None, reverse: bool = False) -> np.ndarray:
    """States (b, t, ...) of each sequence's unmasked steps alone; masked steps hold the last state."""
    loop, way, found = EVERYTHING[name][1], -1 if reverse else 1, []
    for i, sequence in enumerate(x):
        kept = np.ones(len(sequence), bool) if mask_bxt is None else mask_bxt[i]
        states = np.zeros((len(sequence), *loop(params, sequence[:1]).shape[1:]))
        states[kept] = loop(params, sequence[kept][::way])[::way]
        ahead = states.shape[-1] // 2 if "both" in name else states.shape[-1]  # features of the pass forward
        hold(states[..., :ahead], kept, way)
        hold(states[..., ahead:], kept, -1)
        found.append(states)
    return np.stack(found)


def hold(states: np.ndarray, kept: np.ndarray, way: int) -> None:
    """Writes into every masked step the state of the step before it; before the first step it is 0."""
    latest = np.zeros_like(states[0])
    for t in range(len(states))[::way]:
        latest = states[t] if kept[t] else latest
        states[t] = latest


def plain_scan(step: Any, start: Carry, inputs: Any, mask_bxt: Any = None, *, reverse: bool = False) -> jax.Array:
    """States (b, t, ...) of carry = step(carry, inputs of the step), by a scan that autodiff differentiates; inputs are time-major."""

    def masked(carry: Carry, given: Any) -> tuple[Carry, jax.Array]:
        current, mask_b = given
        new = where_unmasked(mask_b, step(carry, current), carry)
        return new, new[0]

    timed = inputs, None if mask_bxt is None else time_major(mask_bxt)
    return time_major(jax.lax.scan(masked, start, timed, reverse=reverse)[1])


def as_float32(tree: Any) -> Any:
    return jax.tree.map(lambda a: np.asarray(a, np.float32), tree)


def waves(tree: Any) -> Any:
    """A direction of derivatives, or weights of a sum, in the shapes of the tree; no two numbers are equal."""
    return jax.tree.map(lambda a: np.cos(np.arange(np.size(a))).reshape(np.shape(a)), tree)


def moved(tree: Any, direction: Any, step: float) -> Any:
    return jax.tree.map(lambda a, d: a + step * d, tree, direction)


def waves_of_states(states: Any) -> np.ndarray:
    """The weights of the states in a sum that is differentiated."""
    return np.cos(np.arange(states.size)).reshape(states.shape)


def ways(name: str) -> tuple[bool, ...]:
    """Values of `reverse`, which a stack does not have."""
    return (False, True) if name in CELLS else (False,)


def run_both_ways(name: str, given: Any, mask_bxt: np.ndarray | None = None) -> np.ndarray:
    """`run` forward, then backward, with the inputs and parameters of `given_to`."""
    return np.stack([run(name, given["params"], given["x"], mask_bxt, way) for way in ways(name)])


def apply_both_ways(name: str, given: Any, mask_bxt: Any = None) -> jax.Array:
    """The states of imgloc's layer for the same inputs and parameters."""
    layer = EVERYTHING[name][0]
    options = [{"reverse": True} if way else {} for way in ways(name)]
    return jax.numpy.stack([layer.apply({"params": given["params"]}, given["x"], mask_bxt, **option) for option in options])


@functools.cache
def given_to(name: str, b: int, t: int) -> dict[str, Any]:
    """Inputs and parameters; do not modify them."""
    return {"x": inputs_of(name, b, t), "params": parameters_of(name)}


@functools.cache
def gradient_and_states(name: str) -> Any:
    """The states in both directions, and the gradient of a weighted sum of them."""

    def energy(given: Any, mask_bxt: jax.Array) -> tuple[jax.Array, jax.Array]:
        states = apply_both_ways(name, given, mask_bxt)
        return (states * waves_of_states(states)).sum(), states

    return jax.jit(jax.grad(energy, has_aux=True))


def assert_those_of_the_loop(name: str, given: Any, mask_bxt: np.ndarray, states: np.ndarray, gradient: Any) -> None:
    """The states equal those of the loop, and so does the gradient along one direction, by central differences."""
    expected, direction = run_both_ways(name, given, mask_bxt), waves(given)
    np.testing.assert_allclose(states, expected, rtol=1e-4, atol=1e-5)
    ahead, behind = (run_both_ways(name, moved(given, direction, step), mask_bxt) for step in (1e-6, -1e-6))
    difference = ((ahead - behind) * waves_of_states(expected)).sum() / 2e-6
    along = jax.tree.map(lambda a, d: float((a * d).sum()), gradient, direction)
    assert sum(jax.tree.leaves(along)) == pytest.approx(difference, rel=1e-3, abs=1e-3)
