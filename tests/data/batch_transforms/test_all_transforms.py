"""What every batch transform does, whatever it changes: valid batches, no padding mixed in, the same bits everywhere, and losses."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from imgloc.config import build, registry
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.models import recurrent
from imgloc.runs.metrics_log import read_metrics
from imgloc.training import step
from imgloc.training.objective import make_losses
from imgloc.types import Batch
from tests import processes
from tests.drawn_batches import CLASSES, assert_identical, drawn_batch, random_batch
from tests.sharded_batch_transforms import checksums

NAMES = registry.names("data.batch_transforms")
MIXING = ("mixup", "cutmix", "mosaic")


@functools.cache
def compiled(name: str, **options: Any) -> Callable[[Batch, jax.Array], Batch]:
    (transform,) = build.make_batch_transforms([{"name": name, **options}], CLASSES)
    return jax.jit(transform)


def assert_valid(batch: Batch) -> None:
    """Boxes are inside the image, objects stand in the order of collation, and soft labels sum to 1."""
    boxes, labels, mask = (np.asarray(array) for array in (batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn))
    sides = boxes[..., 2:] - boxes[..., :2]
    assert ((boxes >= 0) & (boxes <= 1))[mask].all()
    assert (sides[mask] > 0).all()
    assert not (np.diff(mask.astype(int), axis=1) > 0).any(), "absent objects come last"
    area = np.where(mask, sides.prod(axis=-1), -1)
    own = mask & (labels == np.asarray(batch.label_b)[:, None])
    rank = 2 * own + area  # areas are at most 1
    assert (np.diff(rank, axis=1) <= 1e-6).all()
    if batch.soft_label_bxk is not None:
        soft = np.asarray(batch.soft_label_bxk)
        assert soft.min() >= 0
        np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])  # a mosaic tiles an image with itself
def test_the_only_image_of_a_batch_does_not_change(name: str) -> None:
    for seed in range(5):
        batch = drawn_batch(seed, valid=1, size=1)
        result = compiled(name)(batch, jax.random.key(seed))
        assert_identical(result, batch)
        np.testing.assert_array_equal(result.soft_label_bxk, np.eye(CLASSES)[batch.label_b])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), resize=st.sampled_from(["stretch", "letterbox"]))
def test_the_batch_stays_valid_and_padding_does_not_change(name: str, seed: int, resize: str) -> None:
    batch = random_batch(seed, resize=resize)
    loud = np.where(batch.example_mask_b[:, None, None, None], batch.images_bxhxwxc // 2, 255).astype(np.uint8)
    batch = batch._replace(images_bxhxwxc=loud)  # only padding is brighter than 127
    result = compiled(name)(batch, jax.random.key(seed))
    assert_valid(result)
    padding = ~batch.example_mask_b
    for field, array in batch._asdict().items():
        if array is not None:
            np.testing.assert_array_equal(np.asarray(getattr(result, field))[padding], array[padding], err_msg=field)
    if name != "color_jitter":
        assert np.asarray(result.images_bxhxwxc)[~padding].max() <= 127, "an image has met padding"
    assert (result.soft_label_bxk is not None) == (name in MIXING)
    moved = compiled(name)(result, jax.random.key(seed + 1))
    assert_valid(moved)


@pytest.mark.parametrize("name", NAMES)
def test_probability_0_is_the_identity(name: str) -> None:
    batch = random_batch(1)
    result = compiled(name, probability=0.0)(batch, jax.random.key(0))
    assert_identical(result, batch)
    if name in MIXING:
        np.testing.assert_array_equal(result.soft_label_bxk, np.eye(CLASSES)[batch.label_b])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_key_returns_the_same_bits_and_another_key_others(name: str) -> None:
    batch = random_batch(1, valid=7)
    first, again, other = (compiled(name)(batch, jax.random.key(number)) for number in (3, 3, 4))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first.images_bxhxwxc, other.images_bxhxwxc)


@pytest.mark.parametrize("valid", [0, 1, 2])
@pytest.mark.parametrize("name", MIXING)
def test_a_batch_of_few_examples_is_mixed_with_itself(name: str, valid: int) -> None:
    batch = random_batch(1, valid=valid)
    result = compiled(name)(batch, jax.random.key(0))
    assert_valid(result)
    np.testing.assert_array_equal(np.asarray(result.images_bxhxwxc)[valid:], 0)


def test_four_devices_give_the_bits_of_one(cache: Path) -> None:
    command = [sys.executable, "-m", "tests.sharded_batch_transforms"]
    environment = processes.environment(cache, devices=4)
    done = subprocess.run(command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    sharded, alone = json.loads(done.stdout), checksums()
    assert set(sharded) == set(NAMES)
    for name, values in alone.items():
        assert sharded[name]["images"] == values["images"], name
        np.testing.assert_allclose(sharded[name]["boxes"], values["boxes"], atol=1e-6, err_msg=name)
        np.testing.assert_allclose(sharded[name]["soft_labels"], values["soft_labels"], atol=1e-6, err_msg=name)


def test_a_step_with_transforms_and_accumulated_gradients_is_that_of_the_transformed_batch() -> None:
    losses = make_losses(ConfigDict({name: {"name": name, "weight": 1.0} for name in ("cross_entropy", "box_l1", "giou")}))
    model, optimizer = recurrent.Model(num_classes=CLASSES, **recurrent.TINY), optax.sgd(0.1)
    transforms = build.make_batch_transforms([{"name": "mosaic"}, {"name": "horizontal_flip"}], CLASSES)
    batch = jax.tree.map(jax.numpy.asarray, random_batch(0, shape=(32, 32, 3), valid=8, size=8))
    init = functools.partial(step.init_state, shape=(32, 32, 3), model=model, optimizer=optimizer, ema_decay=0.0)
    state = jax.jit(init)(0)
    one = functools.partial(step.train_step, model=model, losses=losses, optimizer=optimizer, grad_accum_steps=2)
    after, metrics = jax.jit(functools.partial(one, batch_transforms=transforms))(state, batch)
    moved = batch
    for index, transform in enumerate(transforms):
        moved = jax.jit(transform)(moved, jax.random.fold_in(step.step_key(0, "batch_transform", 0), index))
    expected, expected_metrics = jax.jit(one)(state, moved)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), (after, metrics), (expected, expected_metrics))
    assert all(np.isfinite(value) and value > 0 for value in metrics.values())
    assert abs(metrics["loss/cross_entropy"] - jax.jit(one)(state, batch)[1]["loss/cross_entropy"]) > 1e-4


def test_a_run_names_them_with_options_and_fills_in_the_number_of_classes(tmp_path: Path) -> None:
    entries = ("random_resized_crop", {"name": "mosaic", "center": (0.3, 0.7)})
    config = resolve(read_recipe("configs/digits_lstm.py"), [f"--config.data.batch_transforms={entries}"])
    assert "num_classes" not in {key for entry in config.data.batch_transforms for key in entry}
    short = ("--config.train.steps=4", "--config.train.log_every=2", "--config.train.eval_every=4", "--config.train.save_every=4")
    arguments = (*processes.TINY, *short, f"--config.data.batch_transforms={entries}")
    assert processes.train_here(*arguments, workdir=tmp_path / "run") == "finished"
    training = [record for record in read_metrics(tmp_path / "run" / "metrics.jsonl") if record["kind"] == "train"]
    assert len(training) == 2
    assert all(np.isfinite(record["loss"]) for record in training)
