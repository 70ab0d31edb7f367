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
from imgloc.training.optim import check_patterns, compile_patterns, make_optimizer, weight_decay_mask

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


def test_lion_equals_optax() -> None:
    section = optim(name="lion", lr=0.01, weight_decay=0.05, b1=0.8, b2=0.95, schedule="constant", weight_decay_exclude=())
    assert_same(run(make_optimizer(section, 5)[0]), run(optax.lion(0.01, b1=0.8, b2=0.95, weight_decay=0.05)))


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


@pytest.mark.parametrize("name", ["adamw", "lion", "sgd"])
def test_frozen_parameters_have_no_updates_and_no_state(name: str) -> None:
    section = optim(name=name, lr=0.1, weight_decay=0.1, clip_norm=1.0, frozen=("^Conv_0/", "scale$"), schedule="constant")
    trained = run(make_optimizer(section, 5)[0])
    for path in (("Conv_0", "kernel"), ("Conv_0", "bias"), ("BatchNorm_0", "scale")):
        np.testing.assert_array_equal(trained[path[0]][path[1]], PARAMS[path[0]][path[1]])
    # The rest is trained as if the frozen parameters did not exist: they do not count for clipping either.
    rest = {"BatchNorm_0": {"bias": PARAMS["BatchNorm_0"]["bias"]}, "scaled": PARAMS["scaled"]}
    plain, _ = make_optimizer(optim(name=name, lr=0.1, weight_decay=0.1, clip_norm=1.0, schedule="constant"), 5)
    alone, state = rest, plain.init(rest)
    for _ in range(5):
        grads = jax.tree.map(lambda p: jnp.sin(3 * p) + 0.1 * p, alone)
        updates, state = plain.update(grads, state, alone)
        alone = optax.apply_updates(alone, updates)
    assert_same({"BatchNorm_0": {"bias": trained["BatchNorm_0"]["bias"]}, "scaled": trained["scaled"]}, alone)
    sizes = [leaf.size for leaf in jax.tree.leaves(make_optimizer(section, 5)[0].init(PARAMS))]
    assert 4 not in sizes, "the frozen kernel has a state"


def test_the_learning_rate_of_parameters_is_that_of_the_first_pattern_that_matches() -> None:
    section = optim(name="sgd", b1=0.0, lr=1.0, schedule="constant", lr_scale=(("^Conv_0/bias", 0.5), ("^Conv_0/", 0.1), ("scaled", 0)))
    transformation, _ = make_optimizer(section, 5)
    updates, _ = transformation.update(jax.tree.map(jnp.ones_like, PARAMS), transformation.init(PARAMS), PARAMS)
    means = jax.tree.map(lambda update: round(float(update.mean()), 6), updates)
    assert means == {
        "Conv_0": {"kernel": -0.1, "bias": -0.5}, "BatchNorm_0": {"scale": -1.0, "bias": -1.0}, "scaled": {"kernel": 0.0},
    }  # fmt: skip


@pytest.mark.parametrize("entry", ["^a=0.1", ("^a",), (0.1, "^a"), ("^a", -1.0), ("^a", float("nan")), ("^a", True), ("", 0.1), ("(", 0.1)])
def test_an_invalid_factor_is_refused(entry: Any) -> None:
    with pytest.raises(UserError, match=r"optim\.lr_scale"):
        make_optimizer(optim(lr_scale=(entry,)), 10)


def test_patterns_that_match_nothing_or_everything_are_refused() -> None:
    check_patterns(optim(frozen=("^Conv_0/",), lr_scale=(("bias$", 0.1),)), PARAMS)
    with pytest.raises(UserError, match=r"optim\.frozen: '\^Conv_1/' matches no parameter; .* BatchNorm_0, Conv_0, scaled"):
        check_patterns(optim(frozen=("^Conv_1/",)), PARAMS)
    with pytest.raises(UserError, match=r"optim\.lr_scale: 'weight' matches no parameter"):
        check_patterns(optim(lr_scale=(("weight", 0.1),)), PARAMS)
    with pytest.raises(UserError, match="nothing would be trained"):
        check_patterns(optim(frozen=("Conv_0|BatchNorm_0", "scaled")), PARAMS)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="unknown optimizer 'adam'; did you mean 'adamw'"):
        make_optimizer(optim(name="adam"), 10)
    with pytest.raises(UserError, match="unknown schedule 'cosin'; did you mean 'cosine'"):
        make_optimizer(optim(schedule="cosin"), 10)


def test_an_invalid_pattern_is_refused() -> None:
    transformation_of = optim(weight_decay=0.1, weight_decay_exclude=("(",))
    with pytest.raises(UserError, match="weight_decay_exclude"):
        make_optimizer(transformation_of, 10)[0].init(PARAMS)
