"""Optimizers and schedules against those of optax and against their formulas."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from imgloc.config.schema import base
from imgloc.errors import UserError
from imgloc.training.optim import compile_patterns, make_optimizer, weight_decay_mask

PARAMS = {
    "Conv_0": {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([0.3, -0.1])},
    "BatchNorm_0": {"scale": jnp.array([1.0, 2.0]), "bias": jnp.array([0.2, 0.4])},
    "scaled": {"kernel": jnp.array([1.0])},
}


def optim(**changes: Any) -> ConfigDict:
    section = base().optim
    section.update(changes)
    return section


def run(transformation: optax.GradientTransformation, steps: int = 5) -> Any:
    params, state = PARAMS, transformation.init(PARAMS)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        grads = jax.tree.map(lambda p: jnp.sin(3 * p) + 0.1 * p, params)
        updates, state = transformation.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params


def assert_same(a: Any, b: Any) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7), a, b)


def test_adamw_equals_optax() -> None:
    section = optim(lr=0.1, weight_decay=0.05, b1=0.8, b2=0.9, eps=1e-5, schedule="constant", weight_decay_exclude=())
    assert_same(run(make_optimizer(section, 5)[0]), run(optax.adamw(0.1, b1=0.8, b2=0.9, eps=1e-5, weight_decay=0.05)))
    section = optim(lr=0.1, schedule="constant")
    assert_same(run(make_optimizer(section, 5)[0]), run(optax.adam(0.1)))


def test_sgd_equals_optax() -> None:
    section = optim(name="sgd", lr=0.05, b1=0.7, schedule="constant")
    assert_same(run(make_optimizer(section, 5)[0]), run(optax.sgd(0.05, momentum=0.7)))


def test_weight_decay_leaves_out_excluded_parameters() -> None:
    mask = weight_decay_mask(PARAMS, compile_patterns(("bias$", "scale$"), "exclude"))
    assert mask == {
        "Conv_0": {"kernel": True, "bias": False}, "BatchNorm_0": {"scale": False, "bias": False}, "scaled": {"kernel": True},
    }  # fmt: skip
    assert weight_decay_mask(PARAMS, compile_patterns(("^Conv_0/",), "exclude"))["Conv_0"] == {"kernel": False, "bias": False}
    plain = run(make_optimizer(optim(lr=0.1, schedule="constant"), 5)[0], steps=1)
    decayed = run(make_optimizer(optim(lr=0.1, schedule="constant", weight_decay=0.5), 5)[0], steps=1)
    np.testing.assert_array_equal(plain["Conv_0"]["bias"], decayed["Conv_0"]["bias"])
    np.testing.assert_array_equal(plain["BatchNorm_0"]["scale"], decayed["BatchNorm_0"]["scale"])
    kernel = PARAMS["Conv_0"]["kernel"]
    np.testing.assert_allclose(decayed["Conv_0"]["kernel"], plain["Conv_0"]["kernel"] - 0.1 * 0.5 * kernel, rtol=1e-5)


def test_the_gradient_is_clipped_by_its_global_norm() -> None:
    section = optim(name="sgd", lr=1.0, b1=0.0, schedule="constant", clip_norm=0.5)
    transformation, _ = make_optimizer(section, 5)
    large = jax.tree.map(lambda p: 10 * p, PARAMS)
    updates, _ = transformation.update(large, transformation.init(PARAMS), PARAMS)
    assert math.sqrt(sum(float((u**2).sum()) for u in jax.tree.leaves(updates))) == pytest.approx(0.5, rel=1e-5)
    ratio = jax.tree.leaves(jax.tree.map(lambda u, g: u / g, updates, large))
    assert np.ptp(np.concatenate([r.ravel() for r in ratio])) < 1e-6  # the direction stays
    small = jax.tree.map(lambda p: 0.01 * p, PARAMS)
    updates, _ = transformation.update(small, transformation.init(PARAMS), PARAMS)
    assert_same(updates, jax.tree.map(lambda g: -g, small))


def test_the_cosine_schedule_follows_its_formula() -> None:
    _, schedule = make_optimizer(optim(lr=0.4, warmup_steps=10), 110)
    for step in (0, 3, 10, 35, 60, 109, 110, 500):
        done = min(1.0, (step - 10) / 100)
        expected = 0.4 * step / 10 if step < 10 else 0.4 * 0.5 * (1 + math.cos(math.pi * done))
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-7)
    _, without = make_optimizer(optim(lr=0.4), 100)
    assert float(without(0)) == pytest.approx(0.4)
    assert float(without(50)) == pytest.approx(0.2)


def test_constant_schedule_and_runs_shorter_than_their_warmup() -> None:
    _, schedule = make_optimizer(optim(lr=0.4, warmup_steps=4, schedule="constant"), 10)
    assert [round(float(schedule(i)), 6) for i in (0, 1, 4, 9)] == [0.0, 0.1, 0.4, 0.4]
    _, flat = make_optimizer(optim(lr=0.4, schedule="constant"), 10)
    assert float(flat(0)) == pytest.approx(0.4)
    _, short = make_optimizer(optim(lr=0.4, warmup_steps=200), 8)
    assert [round(float(short(i)), 6) for i in (0, 4, 8)] == [0.0, 0.008, 0.016]


def test_the_schedule_drives_the_updates() -> None:
    transformation, schedule = make_optimizer(optim(name="sgd", b1=0.0, lr=1.0, warmup_steps=4, schedule="constant"), 10)
    state, ones = transformation.init(PARAMS), jax.tree.map(jnp.ones_like, PARAMS)
    for step in range(6):
        updates, state = transformation.update(ones, state, PARAMS)
        assert float(updates["scaled"]["kernel"][0]) == pytest.approx(-float(schedule(step)))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="unknown optimizer 'adam'; did you mean 'adamw'"):
        make_optimizer(optim(name="adam"), 10)
    with pytest.raises(UserError, match="unknown schedule 'cosin'; did you mean 'cosine'"):
        make_optimizer(optim(schedule="cosin"), 10)


def test_an_invalid_pattern_is_refused() -> None:
    transformation_of = optim(weight_decay=0.1, weight_decay_exclude=("(",))
    with pytest.raises(UserError, match="weight_decay_exclude"):
        make_optimizer(transformation_of, 10)[0].init(PARAMS)
