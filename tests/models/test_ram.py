"""Recurrent attention: which loss trains which layers, and which pixels a glimpse shows."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.losses import cross_entropy, reinforce
from imgloc.models.ram import Model, _mean_predictions
from imgloc.nn import glimpse
from imgloc.types import Batch
from tests.refusals import assert_refused

SMALL: dict[str, Any] = {"glimpses": 3, "size": 4, "scales": 2, "units": 8, "glimpse_hidden": 8}
IMAGES = np.random.default_rng(0).random((6, 12, 16, 1), np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.int32)


@functools.cache
def built(**fields: Any) -> tuple[Model, Any]:
    model = Model(num_classes=3, **SMALL, **fields)
    return model, jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), IMAGES)["params"]


def evaluated(model: Model, params: Any) -> Any:
    """The outputs for IMAGES in evaluation."""
    return jax.jit(functools.partial(model.apply, train=False))({"params": params}, IMAGES)


def batch_of(label_b: Any) -> Batch:
    unused: Any = None
    return Batch(unused, unused, unused, unused, label_b, unused, unused)


@functools.cache
def gradients() -> dict[str, Any]:
    """The largest derivative of each kernel of the network, for each loss."""
    model, params = built()

    def largest(loss: Any) -> Any:
        def total(params: Any) -> Any:
            outputs = model.apply({"params": params}, IMAGES, train=True, rngs={"dropout": jax.random.key(1)})
            return loss(outputs, batch_of(LABELS)).sum()

        layers = jax.jit(jax.grad(total))(params)["network"]
        return {name: float(jnp.abs(layer["kernel"]).max()) for name, layer in layers.items()}

    return {"cross_entropy": largest(cross_entropy.loss), "reinforce": largest(reinforce.loss)}


def test_the_gradient_of_the_class_does_not_pass_through_a_place() -> None:
    largest = gradients()["cross_entropy"]
    assert largest["plan"] == largest["place"] == largest["baseline"] == 0
    assert all(largest[name] > 0 for name in ("what", "where", "glimpse", "core", "classes"))


def test_the_reward_trains_all_layers_that_the_policy_reads_but_not_the_classes() -> None:
    largest = gradients()["reinforce"]
    assert all(largest[name] > 1e-3 for name in ("plan", "place", "baseline", "what", "where", "glimpse", "core"))
    assert not largest["classes"]


def test_the_gradient_of_the_policy_matches_its_formula() -> None:
    """advantage x (sample - mean) / std^2, times the derivative of (1 + tanh) / 2."""
    model, params = built()
    outputs = model.apply({"params": params}, IMAGES, train=True, rngs={"dropout": jax.random.key(1)})
    features, reward = outputs["features"], np.asarray(outputs["logits"].argmax(-1) == LABELS, np.float32)

    def total(bias: Any) -> Any:
        network = {**params["network"], "place": {**params["network"]["place"], "bias": bias}}
        again = model.apply({"params": {"network": network}}, IMAGES, train=True, rngs={"dropout": jax.random.key(1)})
        return reinforce.loss(again, batch_of(LABELS)).sum()

    means, baselines = np.asarray(features["means"]), np.asarray(features["baselines"])
    normal = jax.vmap(lambda n: jax.random.normal(jax.random.split(jax.random.fold_in(key_of_call(), n))[1], (3, 2)))(jnp.arange(6))
    score = np.asarray(normal)[:, 1:] / model.location_std  # (sample - mean) / std^2
    slope = 2 * means * (1 - means)  # of (1 + tanh(z)) / 2, from its value
    expected = -((reward[:, None] - baselines)[..., None] * score * slope).sum(axis=(0, 1))
    np.testing.assert_allclose(jax.grad(total)(params["network"]["place"]["bias"]), expected, rtol=1e-3, atol=1e-4)


def key_of_call() -> jax.Array:
    """The key that `make_rng("dropout")` returns in the model, for the stream key(1)."""
    from flax import linen as nn

    class Probe(nn.Module):
        @nn.compact
        def __call__(self) -> jax.Array:
            return self.make_rng("dropout")

    key: jax.Array = Probe().apply({}, rngs={"dropout": jax.random.key(1)})
    return key


def test_evaluation_samples_nothing_and_the_first_place_of_an_image_does_not_depend_on_the_batch() -> None:
    model, params = built()
    apply = jax.jit(functools.partial(model.apply, {"params": params}, train=False))
    outputs, reversed_outputs = apply(IMAGES), apply(IMAGES[::-1])
    np.testing.assert_allclose(reversed_outputs["features"]["places"][::-1], outputs["features"]["places"], atol=1e-6)
    np.testing.assert_allclose(outputs["features"]["places"][:, 1:], outputs["features"]["means"], atol=1e-6)
    first = np.asarray(outputs["features"]["places"][:, 0])
    assert len(np.unique(first)) == first.size


def test_training_samples_places_around_the_means_of_the_policy() -> None:
    model, params = built()
    apply = jax.jit(lambda key: model.apply({"params": params}, IMAGES, train=True, rngs={"dropout": key})["features"])
    places = [apply(jax.random.key(i)) for i in range(2)]
    assert not np.allclose(places[0]["places"], places[1]["places"])
    distance = np.abs(places[0]["places"][:, 1:] - places[0]["means"])
    assert 0 < distance.mean() < 2 * model.location_std


def test_probabilities_of_several_rollouts_are_averaged() -> None:
    model, params = built(num_rollouts=3)
    outputs, single = evaluated(model, params), evaluated(Model(num_classes=3, **SMALL, num_rollouts=1), params)
    np.testing.assert_allclose(jnp.exp(outputs["logits"]).sum(axis=-1), 1, rtol=1e-5)
    assert not np.allclose(jax.nn.softmax(single["logits"]), jnp.exp(outputs["logits"]), atol=1e-4)
    assert outputs["partial_predictions"]["logits"].shape == (6, 3, 3)


def test_the_mean_is_that_of_probabilities_and_of_boxes() -> None:
    logits, box = (np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in ((6, 2, 5), (6, 2, 4)))
    mean = _mean_predictions({"logits": jnp.asarray(logits), "box": jnp.asarray(box)}, 3)  # three adjacent rollouts of two images
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(np.exp(mean["logits"]), [probabilities[:3].mean(axis=0), probabilities[3:].mean(axis=0)], rtol=1e-5)
    np.testing.assert_allclose(mean["box"], [box[:3].mean(axis=0), box[3:].mean(axis=0)], rtol=1e-5)


@pytest.mark.parametrize("policy", ["gaussian", "transformer"])
def test_a_window_has_the_position_and_shows_the_pixels_that_the_policy_chooses(policy: str) -> None:
    model = Model(num_classes=3, **{**SMALL, "scales": 1}, policy=policy)
    network = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), IMAGES)["params"]["network"]

    def outputs_for(window: list[float], images: Any) -> Any:
        layer = {"kernel": 0 * network["window"]["kernel"], "bias": jnp.array([*window, -3.0][: 4 - (policy == "transformer")])}
        return model.apply({"params": {"network": {**network, "window": layer}}}, images, train=False)

    for output, margin in ((0, 0.375), (-20, 0), (20, 0.5)):  # a quarter of the side, as initially; at most the whole image; a point
        boxes = outputs_for([0, 0, output], IMAGES)["fixations"]
        np.testing.assert_allclose(boxes, np.broadcast_to([margin, margin, 1 - margin, 1 - margin], boxes.shape), atol=1e-5)
    x, y, side = -1.0, 0.5, -0.1
    outputs, half = outputs_for([x, y, side], IMAGES), np.exp(-np.log1p(3 * np.exp(side))) / 2
    center = (1 + np.tanh([x, y])) / 2
    np.testing.assert_allclose(outputs["fixations"][0, 0], [*(center - half), *(center + half)], rtol=1e-5)
    at_x, at_y = ((np.arange(n) + 0.5) / n for n in (16, 12))
    inside = (np.abs(at_y - center[1]) < half + 1 / 12)[:, None] & (np.abs(at_x - center[0]) < half + 1 / 16)
    assert 0 < inside.mean() < 0.5
    changed_outside, changed_inside = (np.where(mask[..., None], 1 - IMAGES, IMAGES) for mask in (~inside, inside))
    np.testing.assert_allclose(outputs_for([x, y, side], changed_outside)["logits"], outputs["logits"], atol=1e-5)
    assert np.abs(outputs_for([x, y, side], changed_inside)["logits"] - outputs["logits"]).max() > 1e-3


def test_only_pixels_that_a_glimpse_shows_change_the_prediction() -> None:
    model, params = built(policy="random")  # in training, places depend on the key alone, not on the image
    apply = jax.jit(lambda images: model.apply({"params": params}, images, train=True, rngs={"dropout": jax.random.key(1)}))
    outputs, shown = apply(IMAGES), np.zeros(IMAGES.shape[:3], bool)
    for place_bx2 in np.asarray(outputs["features"]["places"]).swapaxes(0, 1):
        for scale in (1, 2):
            rows, columns = glimpse.crop_weights(jnp.asarray(place_bx2), 4, scale, 12, 16)
            shown |= np.asarray(rows.any(axis=1)[:, :, None] & columns.any(axis=1)[:, None])
    assert 0.05 < shown.mean() < 0.95
    changed_outside, changed_inside = (apply(np.where(mask[..., None], 1 - IMAGES, IMAGES))["logits"] for mask in (~shown, shown))
    np.testing.assert_allclose(changed_outside, outputs["logits"], atol=1e-5)
    assert np.abs(changed_inside - outputs["logits"]).max(axis=1).min() > 1e-3
    partial = evaluated(model, params)["partial_predictions"]
    sides = np.asarray(partial["fixations"][..., 2:] - partial["fixations"][..., :2]) * [16, 12]
    np.testing.assert_allclose(sides, 4, atol=1e-4)
    assert 0.05 < (np.asarray(partial["seen"][:, -1]) == 0).mean() < 0.95


def test_a_context_chooses_the_first_place_and_does_not_change_the_class() -> None:
    """First places differ between images; where the policy ignores its state, another context does not change any logits."""
    model, params = built(context=4)
    network = {**params["network"]}
    apply = jax.jit(lambda network: model.apply({"params": {"network": network}}, IMAGES, train=False))
    outputs = apply(network)
    means, places = outputs["features"]["means"], outputs["features"]["places"]
    np.testing.assert_allclose(means, places, atol=1e-6)
    assert len(np.unique(np.asarray(places)[:, 0])) > 6
    network["place"] = jax.tree.map(lambda a: 0 * a, network["place"])  # always the center
    centered = apply(network)
    network["context"] = jax.tree.map(lambda a: a + 1, network["context"])
    np.testing.assert_array_equal(apply(network)["logits"], centered["logits"])
    assert not np.array_equal(centered["logits"], outputs["logits"])


def test_each_label_of_a_sequence_is_predicted_after_its_glimpses() -> None:
    model, params = built(labels=2)
    longer = Model(num_classes=3, **{**SMALL, "glimpses": 6})
    partial, outputs = evaluated(longer, params)["partial_predictions"]["logits"], evaluated(model, params)
    np.testing.assert_allclose(outputs["sequence"], partial[:, [2, 5]], atol=1e-6)
    np.testing.assert_array_equal(outputs["logits"], outputs["sequence"][:, 0])
    assert outputs["fixations"].shape == (6, 6, 4)


REFUSED = [
    ({"size": 100_000}, "at most 32 for images of 12 x 16"), ({"scales": 14}, "at most 5"), ({"context": 17}, "at most 16"),
    ({"context": 4, "policy": "random"}, "model.context=0"), ({"labels": 2, "locate": True}, "model.labels must be 0"),
    ({"policy": "greedy"}, "learned"), ({"location_std": 0.0}, "0.0001 to 1"), ({"glimpses": 0}, "at least 1"),
    ({"glimpses": 1}, "at least 2, got 1"), ({"glimpses": 65}, "at most 64, got 65"),
    ({"policy": "gaussian"}, "set model.scales=1"), ({"policy": "transformer", "scales": 1, "num_rollouts": 2}, "model.num_rollouts=0"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_fields_out_of_range_are_refused(fields: Any, message: str) -> None:
    model = Model(num_classes=3, **{**SMALL, **fields})
    assert_refused(lambda: jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), IMAGES), message)
