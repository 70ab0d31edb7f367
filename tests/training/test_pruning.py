"""Pruning against its formula, and against sorting by hand."""

from __future__ import annotations

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve_values
from imgloc.config.schema import base
from imgloc.training import loop, setup
from imgloc.training.pruning import prune, sparsity_at, with_pruning, without_pruned

RNG = np.random.default_rng(0)
PARAMS = {
    "conv": {"kernel": RNG.standard_normal((3, 3, 4, 16)).astype(np.float32), "bias": np.zeros(16, np.float32)},
    "classes": {"kernel": RNG.standard_normal((8, 10)).astype(np.float32)},
    "frozen": {"kernel": RNG.standard_normal((8, 20)).astype(np.float32)},
}


def run(optimizer: optax.GradientTransformation, steps: int, scale: float = 1.0) -> list[tuple[Any, Any]]:
    """Parameters and optimizer state after each step."""
    params, state, seen = jax.tree.map(jnp.asarray, PARAMS), optimizer.init(PARAMS), []

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        updates, state = optimizer.update(jax.tree.map(lambda p: scale * jnp.sin(7 * p), params), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
        seen.append((params, state))
    return seen


def share(array: Any) -> float:
    return float((np.asarray(array) == 0).mean())


def test_the_sparsity_grows_as_the_papers_cubic() -> None:
    expected = [0.8 * (1 - (1 - min(max(t - 10, 0) / 20, 1)) ** 3) for t in range(40)]
    np.testing.assert_allclose(sparsity_at(jnp.arange(40), 0.8, 10, 30), expected, atol=1e-6)
    assert float(sparsity_at(jnp.int32(0), 0.8, 0, 0)) == pytest.approx(0.8), "all at once"


def test_the_smallest_weights_of_each_kernel_become_zero_at_once() -> None:
    optimizer = optax.chain(optax.sgd(0.0), prune(0.75, begin=0, end=0, every=1, excluded=[re.compile("^frozen")]))
    params = run(optimizer, 3)[-1][0]
    kernel = PARAMS["conv"]["kernel"]
    smallest = np.sort(np.abs(kernel).reshape(-1))[: round(0.75 * kernel.size)]
    np.testing.assert_array_equal(params["conv"]["kernel"], np.where(np.abs(kernel) > smallest[-1], kernel, 0))
    for name in ("classes", "frozen"):
        np.testing.assert_array_equal(params[name]["kernel"], PARAMS[name]["kernel"])


def test_zeros_stay_zero_while_the_share_grows_and_the_rest_is_trained() -> None:
    seen = run(optax.chain(optax.adam(0.01), prune(0.9, begin=2, end=12, every=5, excluded=())), 20)
    kernels = [np.asarray(params["conv"]["kernel"]) for params, _ in seen]
    shares = [share(kernel) for kernel in kernels]
    assert shares[1] == 0
    assert all(a <= b for a, b in itertools.pairwise(shares))
    assert shares[-1] == pytest.approx(0.9, abs=0.001)
    assert sorted(set(shares)) == pytest.approx([0, 0.9 * (1 - 0.5**3), 0.9], abs=0.001), "chosen at steps 2, 7 and 12"
    for before, after in itertools.pairwise(kernels):
        assert (after[before == 0] == 0).all()
    assert (kernels[-1] != kernels[-2]).any()
    assert share(seen[-1][0]["classes"]["kernel"]) == 0


def test_averages_lose_the_pruned_weights_too() -> None:
    params, state = run(optax.chain(optax.adam(0.01), prune(0.5, begin=0, end=0, every=1, excluded=())), 1)[0]
    cleaned = without_pruned(PARAMS, state)
    np.testing.assert_array_equal(cleaned["conv"]["kernel"] == 0, np.asarray(params["conv"]["kernel"]) == 0)
    np.testing.assert_array_equal(cleaned["classes"]["kernel"], PARAMS["classes"]["kernel"])
    assert without_pruned(PARAMS, optax.adam(0.01).init(PARAMS)) is PARAMS


def test_a_config_without_sparsity_keeps_the_optimizer() -> None:
    compression, optimizer = base().compression, optax.adam(0.1)
    assert with_pruning(optimizer, compression, 100, ()) is optimizer
    compression.sparsity, compression.prune_during = 0.5, (1.0, 1.0)
    assert share(run(with_pruning(optimizer, compression, 5, ()), 5)[-1][0]["conv"]["kernel"]) == 0.5, "also at the very end"


def test_frozen_parameters_are_not_pruned() -> None:
    overrides = {
        "model.name": "tests.small_cnn", "model.hidden": 32, "optim.frozen": ("Dense_0",), "compression.sparsity": 0.5,
        "compression.prune_during": (0.0, 0.0), "optim.lr": 0.0,
    }  # fmt: skip
    config = resolve_values(read_recipe("tests/sweeps/recipe.py"), overrides)
    parts = setup.set_up(config)
    state, batches = setup.initial_state(config, parts), loop.open_batches(config, parts, 0)
    before = jax.device_get(state.params)
    after = jax.device_get(parts.train_step(state, *next(batches))[0].params)
    batches.close()
    np.testing.assert_array_equal(after["Dense_0"]["kernel"], before["Dense_0"]["kernel"])
    assert share(before["Dense_0"]["kernel"]) == 0
    overrides["optim.frozen"] = ()
    parts = setup.set_up(resolve_values(read_recipe("tests/sweeps/recipe.py"), overrides))
    batches = loop.open_batches(config, parts, 0)
    assert share(parts.train_step(setup.initial_state(config, parts), *next(batches))[0].params["Dense_0"]["kernel"]) == 0.5
    batches.close()
