"""Numbers that are inputs of the compiled step: other values need no other program, and give what constants give."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from imgloc.config import build
from imgloc.config.recipes import read_recipe
from imgloc.config.registry import declared, names
from imgloc.config.resolve import resolve_values
from imgloc.interfaces import Loss
from imgloc.training import loop, setup, step
from imgloc.training.hyperparameters import hyperparameters, program_fingerprint
from imgloc.training.objective import make_losses
from imgloc.training.optim import make_optimizer

BASE = {
    "model.name": "tests.small_cnn", "model.hidden": 8, "train.steps": 20, "train.log_every": 1,
    "optim.clip_norm": 0.5, "optim.weight_decay": 0.1, "optim.ema": 0.1, "optim.eps": 0.01, "losses.cross_entropy.label_smoothing": 0.1,
}  # fmt: skip
#: Another value of every input.
OTHER = {
    "optim.lr": 0.03, "optim.b1": 0.5, "optim.b2": 0.9, "optim.eps": 0.1, "optim.weight_decay": 0.7, "optim.clip_norm": 0.1,
    "optim.ema": 0.15, "losses.cross_entropy.weight": 2.0, "losses.cross_entropy.label_smoothing": 0.4, "losses.giou.weight": 3.0,
    "model.dropout": 0.6,
}  # fmt: skip


def config(overrides: dict[str, Any] | None = None) -> ConfigDict:
    return resolve_values(read_recipe("tests/sweeps/recipe.py"), {**BASE, **(overrides or {})})


@functools.cache
def opened() -> setup.Opened:
    """One set of compiled programs for all tests."""
    return setup.Opened()


def trained(settings: ConfigDict, steps: int = 3, **numbers: float) -> Any:
    """The averages, the state of the optimizer and the metrics after some steps of the program that runs share."""
    parts = setup.set_up(settings, opened())
    own = parts.train_step.args[0]
    inputs = {**own, **{name: jax.device_put(np.float32(number), own[name].sharding) for name, number in numbers.items()}}
    state, batches = setup.initial_state(settings, parts), loop.open_batches(settings, parts, 0)
    for _ in range(steps):
        state, metrics = parts.train_step.func(inputs, state, *next(batches))
    batches.close()
    return jax.device_get((state.ema, state.opt_state, metrics))


def trained_with_constants(settings: ConfigDict, steps: int = 3) -> Any:
    """The same from a program in which every number is a constant."""
    parts = setup.set_up(settings)
    optimizer, schedule = make_optimizer(settings.optim, settings.train.steps)
    one = jax.jit(
        functools.partial(
            step.train_step, model=build.make_model(settings.model, 2), losses=make_losses(settings.losses), optimizer=optimizer,
            ema_decay=settings.optim.ema, schedule=schedule,
        )
    )  # fmt: skip
    state, batches = setup.initial_state(settings, parts), loop.open_batches(settings, parts, 0)
    for _ in range(steps):
        state, metrics = one(state, *next(batches))
    batches.close()
    return jax.device_get((state.ema, state.opt_state, metrics))


def difference(a: Any, b: Any) -> float:
    return max(float(np.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_all_values_of_the_inputs_share_a_program_and_give_what_constants_give() -> None:
    settings = config()
    assert hyperparameters(settings).keys() == OTHER.keys()
    first = trained(settings, steps=1)
    for key, value in OTHER.items():
        assert difference(trained(settings, steps=1, **{key: value}), first) > 1e-4, f"{key} has no effect"
    other = config({**OTHER, "seed": 3})
    result, expected = trained(other), trained_with_constants(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5), result, expected)
    assert len(opened().setups) == 1
    assert next(iter(opened().setups.values())).train_step.func._cache_size() == 1


@pytest.mark.parametrize(
    ("overrides", "is_same"),
    [
        (OTHER, True),
        ({"seed": 7}, True),
        ({"optim.clip_norm": 0.0}, False),
        ({"model.dropout": 0.0}, False),
        ({"losses.giou.weight": 0.0}, False),
        ({"optim.warmup_steps": 3}, False),
        ({"train.steps": 30}, False),
        ({"model.hidden": 16}, False),
    ],
)
def test_only_inputs_and_the_seed_leave_the_program_as_it_is(overrides: dict[str, Any], is_same: bool) -> None:
    assert (program_fingerprint(config(overrides)) == program_fingerprint(config())) == is_same


@pytest.mark.parametrize("name", [name for name in names("models") if build.input_fields(name)])
def test_every_input_of_a_model_may_be_traced(name: str) -> None:
    """Tracing alone: a field that decides something in Python would fail."""
    module = build.find("models", name)
    images, keys = jnp.zeros((2, 32, 32, 1)), {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    fields = build.input_fields(name)

    def outputs(values: list[jax.Array], is_input: bool = True) -> Any:
        inputs = dict(zip(fields, values, strict=True)) if is_input else {}
        model = module.Model(num_classes=2, **getattr(module, "TINY", {}), **inputs)
        variables = model.init(keys, images, train=False)
        return model.apply(variables, images, train=True, rngs=keys, mutable=True)

    jax.eval_shape(outputs, [jnp.float32(0.5) for _ in fields])
    shapes = [jax.eval_shape(functools.partial(outputs, is_input=is_input), [jnp.float32(0.5) for _ in fields]) for is_input in (0, 1)]
    assert jax.tree.structure(shapes[0]) == jax.tree.structure(shapes[1])


def test_every_model_with_dropout_lists_it() -> None:
    """Of a field that is not listed, each value would need a program of its own."""
    for name in names("models"):
        if "dropout" in build.model_fields(build.model_class(name)):
            assert "dropout" in build.input_fields(name), name


def test_the_inputs_of_losses_are_options() -> None:
    found = {name: declared("losses", name, Loss) for name in names("losses")}
    assert any(loss.inputs for loss in found.values())
    for name, loss in found.items():
        assert set(loss.inputs) <= build.keyword_options(loss.function).keys(), name
