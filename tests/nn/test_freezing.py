"""Frozen parts: no gradient, and batch normalization as in evaluation, in any model and in a shared scope."""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.models import resnet
from imgloc.nn.apply import apply_train
from imgloc.nn.freezing import frozen_mask
from imgloc.types import Batch

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
FROZEN = (re.compile("^(stem|stage1|stage2)"),)


class Small(nn.Module):
    """A convolution, batch normalization and a dense layer."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x = nn.Conv(4, (3, 3), name="stem")(images)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, name="stem_norm")(x))
        x = nn.BatchNorm(use_running_average=not train, name="top_norm")(x)
        return {"logits": nn.Dense(3, name="classes")(x.mean(axis=(1, 2))), "hidden": x}


def batch() -> Batch:
    empty = np.zeros((4, 1, 4), np.float32)
    return Batch(IMAGES, empty, empty[..., 0], empty[..., 0] > 0, np.arange(4) % 3, np.ones(4, bool), empty[:, 0])


def train(model: Any, variables: Any, frozen: tuple[re.Pattern[str], ...]) -> tuple[Any, Any, Any]:
    """The outputs, the new state and the gradients of one step."""
    params, state = variables["params"], {"batch_stats": variables["batch_stats"]}

    def loss(params: Any) -> Any:
        outputs, new_state = apply_train(params, state, batch(), jax.random.key(0), model=model, frozen=frozen)
        return (outputs["logits"] ** 2).sum(), (outputs, new_state)

    grads, (outputs, new_state) = jax.jit(jax.grad(loss, has_aux=True))(params)
    return jax.device_get((outputs, new_state["batch_stats"], grads))


def test_frozen_norms_use_stored_statistics_and_keep_them() -> None:
    model = Small()
    variables = jax.device_get(model.init(jax.random.key(0), IMAGES / 255, train=False))
    variables["batch_stats"]["stem_norm"] = {"mean": np.full(4, 0.3, np.float32), "var": np.full(4, 2.0, np.float32)}
    _, free_stats, free_grads = train(model, variables, ())
    outputs, stats, grads = train(model, variables, (re.compile("^stem"),))
    jax.tree.map(np.testing.assert_array_equal, stats["stem_norm"], variables["batch_stats"]["stem_norm"])
    assert not np.array_equal(free_stats["stem_norm"]["mean"], variables["batch_stats"]["stem_norm"]["mean"])
    assert not np.array_equal(stats["top_norm"]["mean"], variables["batch_stats"]["top_norm"]["mean"])
    for name in ("stem", "stem_norm"):
        assert all(not leaf.any() for leaf in jax.tree.leaves(grads[name]))
        assert all(leaf.any() for leaf in jax.tree.leaves(free_grads[name]) if leaf.ndim > 1)
    assert grads["classes"]["kernel"].any()
    # The stem as in evaluation, by its formula; the layer after it by the statistics of the batch.
    stem = jnp.asarray(nn.Conv(4, (3, 3)).apply({"params": variables["params"]["stem"]}, (IMAGES / 255).astype(np.float32)))
    normed = np.maximum((np.asarray(stem) - 0.3) / np.sqrt(2.0 + 1e-5), 0)
    expected = (normed - normed.mean(axis=(0, 1, 2))) / np.sqrt(normed.var(axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(outputs["hidden"], expected, atol=2e-4)


def test_a_backbone_in_a_shared_scope_is_frozen_by_the_paths_of_its_parameters() -> None:
    model = resnet.Model(num_classes=3, **resnet.TINY)
    init = jax.jit(functools.partial(model.init, train=False))
    variables = jax.device_get(init(jax.random.key(0), jnp.asarray(IMAGES / 255, jnp.float32)))
    _, stats, grads = train(model, variables, FROZEN)
    kept = frozen_mask(stats, FROZEN)
    same = jax.tree.map(np.array_equal, stats, variables["batch_stats"])
    assert kept == same
    assert True in jax.tree.leaves(kept)
    assert False in jax.tree.leaves(kept)
    moved = jax.tree.map(lambda grad: bool(grad.any()), grads)
    for name, layer in moved.items():
        assert any(jax.tree.leaves(layer)) is not bool(FROZEN[0].search(name)) or name in ("box",), name


def test_a_pattern_that_matches_everything_freezes_every_norm() -> None:
    model = Small()
    variables = jax.device_get(model.init(jax.random.key(0), IMAGES / 255, train=False))
    outputs, stats, _ = train(model, variables, (re.compile("mean$"),))
    jax.tree.map(np.testing.assert_array_equal, stats, variables["batch_stats"])
    expected = model.apply(variables, (IMAGES / np.float32(255)), train=False)["hidden"]
    np.testing.assert_allclose(outputs["hidden"], expected, atol=1e-5)
