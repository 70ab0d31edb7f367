"""Spatial recurrent layers: values against plain loops, receptive fields, and gradients against finite differences."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from imgloc.models.backbones.renet import Backbone as ReNetBackbone
from imgloc.nn.cell import make_layer
from imgloc.nn.spatial_rnn import DIRECTIONS, IRNN, FourDirectionalRNN, ReNet, directional_rnn, scan_lines, space_to_depth
from tests.refusals import assert_refused

BATCH, HEIGHT, WIDTH, CHANNELS, UNITS = 2, 4, 6, 3, 4
MAPS = np.random.default_rng(0).standard_normal((BATCH, HEIGHT, WIDTH, CHANNELS)).astype(np.float32)


@functools.cache
def random_parameters(module: Any, shape: tuple[int, ...] = MAPS.shape) -> Any:
    """Random parameters of a module for maps of a shape; none is zero, and nothing is compiled."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float32))["params"]
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: 0.5 * rng.standard_normal(a.shape).astype(np.float32), shapes)


def elman_step(p: Any, x: Any, h: Any) -> Any:
    return np.tanh(x @ p["kernel"] + h @ p["recurrent_kernel"] + p["bias"])


def gru_step(p: Any, x: Any, h: Any) -> Any:
    d = len(h)
    into, back = x @ p["kernel"] + p["bias"], h @ p["recurrent_kernel"]
    r, z = scipy.special.expit(into[:d] + back[:d]), scipy.special.expit(into[d : 2 * d] + back[d : 2 * d])
    n = np.tanh(into[2 * d :] + r * (back[2 * d :] + p["recurrent_bias"]))
    return (1 - z) * n + z * h


def projected_step(p: Any, x: Any, h: Any) -> Any:
    return np.maximum(x + h @ p["recurrent_kernel"] + p["bias"], 0)


def directional_loop(step: Callable[..., Any], p: Any, maps: Any, direction: str) -> Any:
    """The states of a directional recurrence, each from its predecessor in that direction."""
    b, h, w, _ = maps.shape
    d = p["recurrent_kernel"].shape[0]
    states = np.zeros((b, h, w, d))
    rows = range(h)[::-1] if direction == "up" else range(h)
    columns = range(w)[::-1] if direction == "left" else range(w)
    dy, dx = {"down": (-1, 0), "up": (1, 0), "right": (0, -1), "left": (0, 1)}[direction]
    for n in range(b):
        for i in rows:
            for j in columns:
                before = (i + dy, j + dx)
                inside = 0 <= before[0] < h and 0 <= before[1] < w
                states[n, i, j] = step(p, maps[n, i, j], states[n][before] if inside else np.zeros(d))
    return states


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("cell", "step"), [("elman", elman_step), ("gru", gru_step)])
def test_a_directional_rnn_is_a_loop_over_its_places(cell: str, step: Any, direction: str) -> None:
    layer = make_layer(cell, UNITS)
    params = random_parameters(layer, (1, HEIGHT, CHANNELS))
    found = jax.jit(lambda p, maps: directional_rnn(lambda x, reverse: layer.apply({"params": p}, x, reverse=reverse), maps, direction))(
        params, MAPS
    )
    np.testing.assert_allclose(found, directional_loop(step, params, MAPS, direction), atol=1e-5)


def test_wrong_directions_and_patches_are_refused() -> None:
    assert_refused(lambda: directional_rnn(lambda x, reverse: x, MAPS, "upward"), "upward", "down")
    assert_refused(lambda: scan_lines("pixels", lambda x: x, MAPS), "pixels", "columns")
    assert_refused(lambda: space_to_depth(jnp.asarray(MAPS), 4), "4x6", "4x4")
    assert_refused(
        lambda: jax.eval_shape(ReNetBackbone((4,), (2, 1)).init, jax.random.key(0), MAPS, train=False), "1 layers", "2 patch sizes"
    )
    projected = make_layer(IRNN, UNITS)
    assert_refused(lambda: jax.eval_shape(projected.init, jax.random.key(0), MAPS[0]), "3 features", "states of 4")


def test_space_to_depth_flattens_patches() -> None:
    found = np.asarray(space_to_depth(jnp.asarray(MAPS), 2))
    assert found.shape == (BATCH, 2, 3, 4 * CHANNELS)
    np.testing.assert_array_equal(found[1, 1, 2], MAPS[1, 2:4, 4:6].reshape(-1))


def renet_loop(p: Any, maps: Any) -> Any:
    """A ReNet layer with patches of 2x2: down and up the columns of patches, then right and left along the rows of these states."""
    count, h, w, _ = maps.shape
    squares = np.array(
        [[[maps[n, i : i + 2, j : j + 2].reshape(-1) for j in range(0, w, 2)] for i in range(0, h, 2)] for n in range(count)]
    )
    columns, rows = p["columns"], p["rows"]
    gru_loop = functools.partial(directional_loop, gru_step)
    vertical = np.concatenate([gru_loop(columns["forward"], squares, "down"), gru_loop(columns["backward"], squares, "up")], -1)
    return np.concatenate([gru_loop(rows["forward"], vertical, "right"), gru_loop(rows["backward"], vertical, "left")], -1)


def four_directions_loop(p: Any, maps: Any) -> Any:
    """The context layers that have parameters, and the last 1x1 convolution."""
    x = maps
    for i in range(len(p) // 5):
        shared = x @ p[f"input{i}"]["kernel"][0, 0] + p[f"input{i}"]["bias"]
        x = np.concatenate([directional_loop(projected_step, p[f"{direction}{i}"], shared, direction) for direction in DIRECTIONS], axis=-1)
    return x @ p["output"]["kernel"][0, 0] + p["output"]["bias"]


@pytest.mark.parametrize(
    ("layer", "loop", "features"),
    [(ReNet(UNITS, 2), renet_loop, 2 * UNITS), (FourDirectionalRNN(5, UNITS), four_directions_loop, 5)],
    ids=["renet", "two context layers"],
)
def test_a_layer_and_its_gradient_are_those_of_a_loop(layer: Any, loop: Any, features: int) -> None:
    """The gradient is compared with central differences of the loop in double precision, along one direction for each parameter."""
    params = random_parameters(layer)
    weights = np.cos(np.arange(BATCH * HEIGHT * WIDTH * features))

    @jax.jit
    def found(params: Any, maps: Any) -> Any:
        states = layer.apply({"params": params}, maps)
        return (states.reshape(-1) * weights[: states.size]).sum(), states

    (_, states), (gradient, maps_gradient) = jax.jit(jax.value_and_grad(found, argnums=(0, 1), has_aux=True))(params, MAPS)
    assert states.shape[-1] == features
    np.testing.assert_allclose(states, loop(params, MAPS), rtol=1e-4, atol=1e-4)

    def energy(params: Any, maps: Any) -> float:
        states = loop(params, maps).reshape(-1)
        return float((states * weights[: states.size]).sum())

    rng = np.random.default_rng(2)
    exact, exact_maps = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, MAPS))
    leaves, tree = jax.tree.flatten(exact)
    for index, (leaf, slope) in enumerate(zip([*leaves, exact_maps], [*jax.tree.leaves(gradient), maps_gradient], strict=True)):
        direction = rng.standard_normal(leaf.shape)
        moved = []
        for step in (1e-6, -1e-6):
            shifted = [a + step * direction if i == index else a for i, a in enumerate([*leaves, exact_maps])]
            moved.append(energy(jax.tree.unflatten(tree, shifted[:-1]), shifted[-1]))
        expected = (moved[0] - moved[1]) / 2e-6
        assert float((np.asarray(slope, np.float64) * direction).sum()) == pytest.approx(expected, rel=1e-3, abs=2e-3), index
        assert expected != 0, index


@pytest.mark.parametrize("layers", [1, 2])
def test_one_layer_depends_on_row_and_column_two_layers_on_the_whole_image(layers: int) -> None:
    layer = FourDirectionalRNN(5, UNITS, layers)
    params = jax.tree.map(np.abs, random_parameters(layer))  # so that every relu is active
    changed = np.abs(MAPS)
    changed[1, 1, 4] += 0.5
    found = jax.jit(lambda maps: layer.apply({"params": params}, maps))
    reached = np.abs(found(changed) - found(np.abs(MAPS))).max(axis=-1) > 0
    cross = np.zeros((HEIGHT, WIDTH), bool)
    cross[1, :] = cross[:, 4] = True
    assert not reached[0].any(), "another image"
    np.testing.assert_array_equal(reached[1], cross if layers == 1 else np.ones_like(cross))


def test_renet_states_depend_on_the_whole_image() -> None:
    layer, changed = ReNet(UNITS, 2), MAPS.copy()
    changed[1, 1, 4] += 0.5
    found = jax.jit(lambda maps: layer.apply({"params": random_parameters(layer)}, maps))
    reached = np.abs(found(changed) - found(MAPS)).max(axis=-1) > 0
    assert reached[1].all()
    assert not reached[0].any()


def test_context_starts_as_sums_along_each_direction() -> None:
    layer = FourDirectionalRNN(4 * UNITS, UNITS, 1)
    params = jax.tree.map(np.asarray, jax.jit(layer.init)(jax.random.key(0), MAPS)["params"])
    for direction in DIRECTIONS:
        np.testing.assert_array_equal(params[f"{direction}0"]["recurrent_kernel"], np.eye(UNITS))
    params["output"] = {"kernel": np.eye(4 * UNITS)[None, None].astype(np.float32), "bias": np.zeros(4 * UNITS, np.float32)}
    params["input0"]["kernel"] = np.abs(params["input0"]["kernel"])
    maps = np.abs(MAPS)  # sums of positive values, which relu keeps
    shared = maps @ params["input0"]["kernel"][0, 0]
    down, up = np.cumsum(shared, axis=1), np.cumsum(shared[:, ::-1], axis=1)[:, ::-1]
    right, left = np.cumsum(shared, axis=2), np.cumsum(shared[:, :, ::-1], axis=2)[:, :, ::-1]
    found = jax.jit(lambda p: layer.apply({"params": p}, maps))(params)
    np.testing.assert_allclose(found, np.concatenate([down, up, right, left], axis=-1), rtol=1e-5)
