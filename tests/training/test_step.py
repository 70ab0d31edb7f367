"""One step: reproducible, compiled once, the same in parts as in whole, able to learn; and its batch transforms."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from ml_collections import ConfigDict

from imgloc import boxes
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.data.batch_transforms import horizontal_flip
from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import collate
from imgloc.data.sources.scattered_digits import source
from imgloc.devices import mesh, runtime
from imgloc.models import recurrent, second_look
from imgloc.nn.apply import predict_step
from imgloc.training import checkpoint, setup, step
from imgloc.training.objective import WeightedLoss, make_losses
from imgloc.types import Batch, InputSpec
from tests import processes
from tests.several_devices import StopAt
from tests.training.test_resume import assert_same_bits

SHAPE = (64, 64, 1)
STEPS_TO_MEMORIZE = 160


def losses(*names: str) -> tuple[WeightedLoss, ...]:
    entries = {name: {"name": name, "weight": 4.0 if name == "box_l1" else 1.0} for name in names}
    return make_losses(ConfigDict(entries))


def batch_of(size: int, start: int = 0) -> Batch:
    train = source("train", seed=0)
    return collate([train[start + i] for i in range(size)], size, InputSpec(SHAPE))


def recipe_losses() -> tuple[WeightedLoss, ...]:
    """The losses of the recipe of `second_look`, which supervise the first box too; else the second look never sees the object."""
    return make_losses(resolve(read_recipe("configs/digits_cnn.py")).losses)


def make(model: Any, ema_decay: float = 0.0, optimizer: Any = None, **options: Any) -> tuple[Any, Any]:
    optimizer = optimizer or optax.adam(1e-3)
    init = functools.partial(step.init_state, shape=SHAPE, model=model, optimizer=optimizer, ema_decay=ema_decay)
    one = functools.partial(
        step.train_step, model=model, losses=recipe_losses() if isinstance(model, second_look.Model) else losses("cross_entropy", "box_l1"),
        optimizer=optimizer, ema_decay=ema_decay, **options,
    )  # fmt: skip
    return jax.jit(init, compiler_options=runtime.compiler_options_once()), jax.jit(one)


@functools.cache
def tiny_second_look() -> tuple[Any, Any]:
    """A model with dropout and jitter; compiled once for all tests."""
    return make(second_look.Model(num_classes=10, **second_look.TINY))


@functools.cache
def tiny_recurrent() -> tuple[Any, Any]:
    """A model with moving averages, trained by gradient descent; compiled once for all tests."""
    return make(recurrent.Model(num_classes=10, **recurrent.TINY), ema_decay=0.5, optimizer=optax.sgd(0.1))


def test_the_second_step_another_seed_and_a_resumed_run_do_not_compile_again(tmp_path: Path) -> None:
    overrides = ["--config.model.name=tests.small_cnn", "--config.optim.ema=0.9", "--config.train.batch_size=8"]
    config = resolve(read_recipe("configs/digits_three_layer_cnn.py"), overrides)
    training_setup = setup.set_up(config)
    with checkpoint.open_manager(tmp_path) as manager:
        for seed in (0, 1):
            config.seed = seed
            state = setup.initial_state(config, training_setup)
            for number in range(3):
                state, _ = training_setup.train_step(state, mesh.put_batch(batch_of(8, 8 * number), training_setup.devices))
        checkpoint.save(manager, state)
        manager.wait_until_finished()
        restored = setup.last_state(config, training_setup, manager)
    assert int(restored.step) == 3
    training_setup.train_step(restored, mesh.put_batch(batch_of(8), training_setup.devices))
    assert training_setup.train_step.func._cache_size() == 1


def test_the_quickstart_model_predicts_the_same_for_any_batch_size() -> None:
    model = second_look.Model(num_classes=10)
    init, _ = make(model)
    rng, start = np.random.default_rng(0), jax.device_get(step.eval_variables(init(0)))
    moved = jax.tree.map(lambda a: a + 0.05 * rng.standard_normal(a.shape, np.float32), start["params"])  # zeros would hide differences
    variables = {**start, "params": moved}
    predict = jax.jit(functools.partial(predict_step, model=model))
    images = batch_of(16).images_bxhxwxc
    together = predict(variables, images)
    alone = [predict(variables, images[i : i + 1]) for i in range(16)]
    np.testing.assert_allclose(together["box"], np.concatenate([a["box"] for a in alone]), atol=1e-5)
    probabilities = np.concatenate([jax.nn.softmax(a["logits"]) for a in alone])
    np.testing.assert_allclose(jax.nn.softmax(together["logits"]), probabilities, atol=1e-5)
    assert np.abs(np.diff(together["box"], axis=0)).max() > 1e-3


def test_eight_images_can_be_memorized() -> None:
    """With finite gradients however little the compiler optimizes.

    They were NaN with `x.max(axis=(1, 2))` in the model: its gradient searched for the maximum in x computed again, with other bits.
    """
    model = second_look.Model(num_classes=10, stem=(8, 16), middle=16, deep=32, look=(8, 16, 16), hidden=32, dropout=0.0, jitter=0.0)
    optimizer = optax.adam(6e-3)
    init, _ = make(model, optimizer=optimizer)
    one = functools.partial(step.train_step, model=model, losses=recipe_losses(), optimizer=optimizer, ema_decay=0.0)
    unoptimized = jax.jit(one, compiler_options={"xla_backend_optimization_level": 0})
    state, batch, norms = init(0), batch_of(8), []
    for _ in range(STEPS_TO_MEMORIZE):
        state, metrics = unoptimized(state, batch)
        norms.append(metrics["grad_norm"])
    assert np.isfinite(norms).all()
    outputs = jax.jit(functools.partial(predict_step, model=model))(step.eval_variables(state), batch.images_bxhxwxc)
    assert float(boxes.iou(np.asarray(outputs["box"]), batch.boxes_bxnx4[:, 0]).mean()) > 0.9
    assert np.array_equal(np.argmax(outputs["logits"], axis=-1), batch.label_b)


def test_a_step_depends_only_on_its_number_and_its_seed() -> None:
    init, one = tiny_second_look()
    batch = batch_of(8)
    first, again = one(init(0), batch), one(init(0), batch)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True))
    later = one(init(0)._replace(step=jnp.int32(5)), batch)
    assert float(later[1]["loss"]) != float(first[1]["loss"])
    assert float(one(init(0)._replace(seed=jnp.uint32(1)), batch)[1]["loss"]) != float(first[1]["loss"])


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    init, whole = tiny_recurrent()
    _, parts = make(recurrent.Model(num_classes=10, **recurrent.TINY), ema_decay=0.5, optimizer=optax.sgd(0.1), grad_accum_steps=4)
    a, ma = whole(init(0), batch_of(8))
    b, mb = parts(init(0), batch_of(8))
    for x, y in zip(jax.tree.leaves(a.params), jax.tree.leaves(b.params), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
    np.testing.assert_allclose(ma["loss"], mb["loss"], rtol=1e-5)
    other, _ = whole(init(0), batch_of(8, start=8))
    assert any(np.abs(x - y).max() > 1e-4 for x, y in zip(jax.tree.leaves(a.params), jax.tree.leaves(other.params), strict=True))


def test_padding_changes_neither_loss_nor_gradient() -> None:
    init, one = tiny_recurrent()
    batch = batch_of(6)
    padded = collate([source("train", seed=0)[i] for i in range(6)], 8, InputSpec(SHAPE))
    padded_with_sevens = padded._replace(boxes_bxnx4=np.where(padded.example_mask_b[:, None, None], padded.boxes_bxnx4, np.float32(7.0)))
    a, b = one(init(0), batch), one(init(0), padded_with_sevens)
    np.testing.assert_allclose(a[1]["loss"], b[1]["loss"], rtol=1e-5)
    for x, y in zip(jax.tree.leaves(a[0].params), jax.tree.leaves(b[0].params), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)


def test_averages_follow_their_formula() -> None:
    init, one = tiny_recurrent()
    start = init(0)
    state, expected = start, start.params
    for number in range(1, 4):
        state, _ = one(state, batch_of(8, 8 * number))
        decay = min(0.5, (1 + number) / (10 + number))
        expected = jax.tree.map(lambda old, new, d=decay: old * d + new * (1 - d), expected, state.params)
    for x, y in zip(jax.tree.leaves(step.eval_variables(state)["params"]), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)


def test_bfloat16_computes_in_it_and_keeps_float32_parameters() -> None:
    init, exact = tiny_second_look()
    _, one = make(second_look.Model(num_classes=10, **second_look.TINY), dtype=jnp.bfloat16)
    state, metrics = one(init(0), batch_of(8))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((state.params, state.model_state)))
    loss, exact_loss = float(metrics["loss"]), float(exact(init(0), batch_of(8))[1]["loss"])
    assert loss != exact_loss
    assert loss == pytest.approx(exact_loss, rel=0.03)


def test_steps_are_the_same_bits_however_they_are_divided_into_calls() -> None:
    init, one = tiny_recurrent()
    several = jax.jit(functools.partial(step.train_steps, one_step=one))
    batches = [batch_of(4, 4 * i) for i in range(6)]
    state = init(0)
    losses_seen = []
    for batch in batches:
        state, metrics = one(state, batch)
        losses_seen.append(float(metrics["loss"]))

    def divided(*counts: int) -> Any:
        state, left, seen = init(0), iter(batches), []
        for stacked, count in pipeline.group_calls(left, counts, 6):
            state, metrics = several(state, stacked, count)
            assert all(not np.any(column[count:]) for column in metrics.values())
            seen += np.asarray(metrics["loss"])[:count].tolist()
        return state, seen

    whole = divided(6)
    for parts in ((1, 2, 3), (4, 2), (1,) * 6):
        jax.tree.map(np.testing.assert_array_equal, divided(*parts), whole)
    assert several._cache_size() == 1
    assert int(whole[0].step) == 6
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), whole[0].params, state.params)
    np.testing.assert_allclose(whole[1], losses_seen, rtol=1e-4, atol=1e-5)


class Linear(nn.Module):
    """The smallest model with logits and a box."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x = nn.Dense(14)(images.reshape(images.shape[0], -1))
        return {"logits": x[:, :10], "box": nn.sigmoid(x[:, 10:])}


class Recorded(Exception):
    """Ends a step after its batch transforms."""


def transform_calls(state: step.TrainState, batch: Batch, **options: Any) -> list[tuple[list[int], Batch]]:
    """The key data and the batch of each of two batch transforms in one step, which ends after them."""
    calls = []

    def record(batch: Batch, key: jax.Array) -> Batch:
        calls.append((jax.random.key_data(key).tolist(), batch))
        if len(calls) == 2:
            raise Recorded
        return batch

    arguments = {"model": Linear(), "losses": losses("cross_entropy"), "optimizer": optax.sgd(0.1), **options}
    with pytest.raises(Recorded):
        step.train_step(state, batch, batch_transforms=(record, record), **arguments)
    return calls


def test_the_keys_of_batch_transforms_depend_only_on_seed_step_and_index() -> None:
    init, _ = make(Linear(), optimizer=optax.sgd(0.1))

    def keys(seed: int, number: int, batch: Batch, **options: Any) -> list[list[int]]:
        state = init(seed)._replace(step=jnp.int32(number))
        return [key for key, _ in transform_calls(state, batch, **options)]

    batch = batch_of(8)
    seeds_and_steps = [(0, 0), (0, 5), (1, 0), (1, 5)]
    all_keys = [keys(seed, number, batch) for seed, number in seeds_and_steps]
    expected = [
        [jax.random.key_data(jax.random.fold_in(step.step_key(seed, "batch_transform", number), index)).tolist() for index in (0, 1)]
        for seed, number in seeds_and_steps
    ]
    assert all_keys == expected
    assert len({tuple(key) for pair in all_keys for key in pair}) == 8
    assert keys(1, 5, batch_of(4, start=8)) == keys(1, 5, batch, grad_accum_steps=4) == all_keys[-1]


def test_with_accumulated_gradients_batch_transforms_see_the_whole_batch() -> None:
    init, _ = make(Linear(), optimizer=optax.sgd(0.1))
    batch = batch_of(8)
    for _, seen in transform_calls(init(0), batch, grad_accum_steps=4):
        jax.tree.map(np.testing.assert_array_equal, seen, batch)


def test_without_batch_transforms_a_step_gives_the_same_bits_as_before() -> None:
    init, one = tiny_recurrent()
    model, batch = recurrent.Model(num_classes=10, **recurrent.TINY), batch_of(8)
    expected = one(init(0), batch)
    for transforms in ((), (lambda batch, key: batch,)):
        _, same = make(model, ema_decay=0.5, optimizer=optax.sgd(0.1), batch_transforms=transforms)
        jax.tree.map(np.testing.assert_array_equal, same(init(0), batch), expected)


def test_a_step_learns_from_the_transformed_batch() -> None:
    init, one = make(Linear(), optimizer=optax.sgd(0.1))
    _, flipping = make(Linear(), optimizer=optax.sgd(0.1), batch_transforms=(horizontal_flip.transform,))
    batch, state = batch_of(8), init(0)
    key = jax.random.fold_in(step.step_key(0, "batch_transform", 0), 0)
    flipped = horizontal_flip.transform(batch, key)
    assert not np.array_equal(flipped.images_bxhxwxc, batch.images_bxhxwxc)
    after, metrics = flipping(state, batch)
    expected, expected_metrics = one(state, flipped)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), (after, metrics), (expected, expected_metrics))
    assert abs(float(one(state, batch)[1]["loss/box_l1"]) - float(metrics["loss/box_l1"])) > 1e-4


def test_a_resumed_run_with_batch_transforms_ends_with_the_same_bits(tmp_path: Path) -> None:
    short = ("--config.train.steps=12", "--config.train.log_every=3", "--config.train.eval_every=6", "--config.train.save_every=6")
    arguments = (*processes.TINY, *short, "--config.data.batch_transforms=('horizontal_flip',)")
    processes.train_here(*arguments, workdir=tmp_path / "whole")
    assert processes.train_here(*arguments, workdir=tmp_path / "stopped", stop=StopAt(7)) == "stopped"
    assert processes.train_here(*arguments, workdir=tmp_path / "stopped") == "finished"
    assert_same_bits(tmp_path / "stopped", tmp_path / "whole")
