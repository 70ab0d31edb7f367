"""Operations between images and a model: their order, and that training, prediction and bundles see the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.config.build import Step
from imgloc.interfaces import Operation
from imgloc.nn.apply import apply_eval, apply_train, predict_step
from imgloc.nn.preprocess import Preprocessed, apply_steps, with_steps
from imgloc.types import Batch
from tests.refusals import assert_refused

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), np.uint8)


def step(function, *, keep: bool = False, channels: tuple[int, ...] = ()) -> Step:  # type: ignore[no-untyped-def]
    return Step("some", Operation(function, "some", lambda maps: maps, channels), function, lambda maps: maps, keep)


HALF = step(lambda x: x / 2)
MEAN = step(lambda x: x.mean(axis=-1, keepdims=True), keep=True)
TWICE = step(lambda x: 2 * x, keep=True, channels=(3,))


def test_kept_maps_are_added_and_others_replace_the_image() -> None:
    images = jnp.asarray(IMAGES / 255, jnp.float32)
    mean = images.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(apply_steps(images, (MEAN, TWICE)), jnp.concatenate([images, mean, 2 * images], axis=-1), atol=1e-6)
    np.testing.assert_allclose(apply_steps(images, (HALF, MEAN)), jnp.concatenate([images, mean], axis=-1) / 2, atol=1e-6)
    np.testing.assert_allclose(apply_steps(images, (MEAN, HALF)), images / 2, atol=1e-6)
    assert_refused(lambda: apply_steps(images[..., :1], (TWICE,)), "operation 'some' needs images with 3 channels, got 1")


class Sum(nn.Module):
    num_classes: int = 2

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        return {"logits": nn.Dense(self.num_classes)(images.mean(axis=(1, 2)))}


def test_a_model_reads_the_same_in_training_and_in_prediction() -> None:
    model = with_steps(Sum(), (MEAN,))
    assert isinstance(model, Preprocessed)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 5, 6, 3)), train=False)
    assert variables["params"]["Dense_0"]["kernel"].shape == (4, 2)
    zeros = np.zeros(2, np.int32)
    batch = Batch(
        IMAGES, np.zeros((2, 1, 4), np.float32), zeros[:, None], zeros[:, None] > 0, zeros, zeros == 0, np.zeros((2, 4), np.float32)
    )
    trained, _ = apply_train(variables["params"], {}, batch, jax.random.key(0), model=model)
    predicted = predict_step(variables, IMAGES, model=model)
    by_hand = Sum().apply(variables, apply_steps(jnp.asarray(IMAGES / 255, jnp.float32), (MEAN,)), train=False)
    for outputs in (trained, predicted, apply_eval(variables, jnp.asarray(IMAGES / 255, jnp.float32), model=model)):
        np.testing.assert_allclose(outputs["logits"], by_hand["logits"], atol=1e-6)


def test_operations_read_float32_images_of_a_model_in_bfloat16() -> None:
    seen = []
    model = with_steps(Sum(), (step(lambda x: seen.append(x.dtype) or x),))
    variables = model.init(jax.random.key(0), jnp.zeros((1, 5, 6, 3)), train=False)
    outputs = predict_step(variables, IMAGES, model=model, dtype=jnp.bfloat16)
    assert set(seen) == {np.dtype("float32")}
    assert outputs["logits"].dtype == jnp.float32


def test_a_model_without_operations_is_itself() -> None:
    model = Sum()
    assert with_steps(model, ()) is model
