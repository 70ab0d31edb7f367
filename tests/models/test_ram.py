"""Recurrent attention: what may learn by what, and what a glimpse sees."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.losses import cross_entropy, reinforce
from imgloc.models.ram import Model, _averaged
from imgloc.nn import glimpse
from imgloc.types import Batch

SMALL: dict[str, Any] = {"glimpses": 3, "size": 4, "scales": 2, "units": 8, "sensed": 8}
IMAGES = np.random.default_rng(0).random((6, 12, 16, 1), np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.int32)


@functools.cache
def built(**fields: Any) -> tuple[Model, Any]:
    model = Model(num_classes=3, **SMALL, **fields)
    return model, jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), IMAGES)["params"]


def said(model: Model, params: Any) -> Any:
    """What it says of IMAGES in evaluation."""
    return jax.jit(functools.partial(model.apply, train=False))({"params": params}, IMAGES)


def batch_of(label_b: Any) -> Batch:
    nothing: Any = None
    return Batch(nothing, nothing, nothing, nothing, label_b, nothing, nothing)


@functools.cache
def gradients() -> dict[str, Any]:
    """By each loss, of the network's layers: their kernels' largest derivative."""
    model, params = built()

    def of(loss: Any) -> Any:
        def total(params: Any) -> Any:
            outputs = model.apply({"params": params}, IMAGES, train=True, rngs={"dropout": jax.random.key(1)})
            return loss(outputs, batch_of(LABELS)).sum()

        layers = jax.jit(jax.grad(total))(params)["network"]
        return {name: float(jnp.abs(layer["kernel"]).max()) for name, layer in layers.items()}

    return {"cross_entropy": of(cross_entropy.loss), "reinforce": of(reinforce.loss)}


def test_no_gradient_of_the_answer_crosses_a_place() -> None:
    found = gradients()["cross_entropy"]
    assert found["plan"] == found["place"] == found["baseline"] == 0
    assert all(found[name] > 0 for name in ("what", "where", "glimpse", "core", "classes"))


def test_the_reward_reaches_all_that_the_policy_reads_and_not_the_answer() -> None:
    found = gradients()["reinforce"]
    assert all(found[name] > 1e-3 for name in ("plan", "place", "baseline", "what", "where", "glimpse", "core"))
    assert not found["classes"]


def test_the_policys_gradient_is_its_formula() -> None:
    """advantage x (drawn - mean) / deviation^2, times the derivative of (1 + tanh) / 2."""
    model, params = built()
    outputs = model.apply({"params": params}, IMAGES, train=True, rngs={"dropout": jax.random.key(1)})
    features, reward = outputs["features"], np.asarray(outputs["logits"].argmax(-1) == LABELS, np.float32)

    def total(bias: Any) -> Any:
        network = {**params["network"], "place": {**params["network"]["place"], "bias": bias}}
        again = model.apply({"params": {"network": network}}, IMAGES, train=True, rngs={"dropout": jax.random.key(1)})
        return reinforce.loss(again, batch_of(LABELS)).sum()

    means, baselines = np.asarray(features["means"]), np.asarray(features["baselines"])
    normal = jax.vmap(lambda n: jax.random.normal(jax.random.split(jax.random.fold_in(key_of_call(), n))[1], (3, 2)))(jnp.arange(6))
    pushed = np.asarray(normal)[:, 1:] / model.deviation  # (drawn - mean) / deviation^2
    slope = 2 * means * (1 - means)  # of (1 + tanh(z)) / 2, by its own value
    wanted = -((reward[:, None] - baselines)[..., None] * pushed * slope).sum(axis=(0, 1))
    np.testing.assert_allclose(jax.grad(total)(params["network"]["place"]["bias"]), wanted, rtol=1e-3, atol=1e-4)


def key_of_call() -> jax.Array:
    """The key that the model draws from the stream `dropout` of key(1)."""
    from flax import linen as nn

    class Probe(nn.Module):
        @nn.compact
        def __call__(self) -> jax.Array:
            return self.make_rng("dropout")

    found: jax.Array = Probe().apply({}, rngs={"dropout": jax.random.key(1)})
    return found


def test_what_is_scored_draws_nothing_and_a_picture_begins_where_it_does_in_any_batch() -> None:
    model, params = built()
    apply = jax.jit(functools.partial(model.apply, {"params": params}, train=False))
    whole, turned = apply(IMAGES), apply(IMAGES[::-1])
    np.testing.assert_allclose(turned["features"]["places"][::-1], whole["features"]["places"], atol=1e-6)
    np.testing.assert_allclose(whole["features"]["places"][:, 1:], whole["features"]["means"], atol=1e-6)
    first = np.asarray(whole["features"]["places"][:, 0])
    assert len(np.unique(first)) == first.size


def test_training_draws_other_places_each_time_around_what_the_policy_says() -> None:
    model, params = built()
    apply = jax.jit(lambda key: model.apply({"params": params}, IMAGES, train=True, rngs={"dropout": key})["features"])
    places = [apply(jax.random.key(i)) for i in range(2)]
    assert not np.allclose(places[0]["places"], places[1]["places"])
    away = np.abs(places[0]["places"][:, 1:] - places[0]["means"])
    assert 0 < away.mean() < 2 * model.deviation


def test_probabilities_of_several_paths_are_averaged() -> None:
    model, params = built(draws=3)
    answers, alone = said(model, params), said(Model(num_classes=3, **SMALL, draws=1), params)
    np.testing.assert_allclose(jnp.exp(answers["logits"]).sum(axis=-1), 1, rtol=1e-5)
    assert not np.allclose(jax.nn.softmax(alone["logits"]), jnp.exp(answers["logits"]), atol=1e-4)
    assert answers["steps"]["logits"].shape == (6, 3, 3)


def test_what_is_averaged_are_probabilities_and_boxes() -> None:
    logits, box = (np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in ((6, 2, 5), (6, 2, 4)))
    found = _averaged({"logits": jnp.asarray(logits), "box": jnp.asarray(box)}, 3)  # two images of three paths, side by side
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(np.exp(found["logits"]), [probabilities[:3].mean(axis=0), probabilities[3:].mean(axis=0)], rtol=1e-5)
    np.testing.assert_allclose(found["box"], [box[:3].mean(axis=0), box[3:].mean(axis=0)], rtol=1e-5)


@pytest.mark.parametrize("policy", ["gaussian", "transformer"])
def test_a_window_that_the_policy_asks_for_is_where_it_says_and_what_it_shows(policy: str) -> None:
    model = Model(num_classes=3, **{**SMALL, "scales": 1}, policy=policy)
    network = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), IMAGES)["params"]["network"]

    def answer(said: list[float], images: Any) -> Any:
        window = {"kernel": 0 * network["window"]["kernel"], "bias": jnp.array([*said, -3.0][: 4 - (policy == "transformer")])}
        return model.apply({"params": {"network": {**network, "window": window}}}, images, train=False)

    for said, margin in ((0, 0.375), (-20, 0), (20, 0.5)):  # a quarter at the start of training; the whole image at most; a point
        look = answer([0, 0, said], IMAGES)["looks"]
        np.testing.assert_allclose(look, np.broadcast_to([margin, margin, 1 - margin, 1 - margin], look.shape), atol=1e-5)
    x, y, side = -1.0, 0.5, -0.1
    found, half = answer([x, y, side], IMAGES), np.exp(-np.log1p(3 * np.exp(side))) / 2
    center = (1 + np.tanh([x, y])) / 2
    np.testing.assert_allclose(found["looks"][0, 0], [*(center - half), *(center + half)], rtol=1e-5)
    at_x, at_y = ((np.arange(n) + 0.5) / n for n in (16, 12))
    near = (np.abs(at_y - center[1]) < half + 1 / 12)[:, None] & (np.abs(at_x - center[0]) < half + 1 / 16)
    assert 0 < near.mean() < 0.5
    beside, within = (np.where(mask[..., None], 1 - IMAGES, IMAGES) for mask in (~near, near))
    np.testing.assert_allclose(answer([x, y, side], beside)["logits"], found["logits"], atol=1e-5)
    assert np.abs(answer([x, y, side], within)["logits"] - found["logits"]).max() > 1e-3


def test_what_a_glimpse_does_not_show_has_no_say() -> None:
    """Pixels that no window of a path covers may be anything: the answer is the same. Of others it is not."""
    model, params = built(policy="random")  # in training its places are those of the key, whatever the picture
    apply = jax.jit(lambda images: model.apply({"params": params}, images, train=True, rngs={"dropout": jax.random.key(1)}))
    outputs, shown = apply(IMAGES), np.zeros(IMAGES.shape[:3], bool)
    for place_bx2 in np.asarray(outputs["features"]["places"]).swapaxes(0, 1):
        for scale in (1, 2):
            rows, columns = glimpse.crop_weights(jnp.asarray(place_bx2), 4, scale, 12, 16)
            shown |= np.asarray(rows.any(axis=1)[:, :, None] & columns.any(axis=1)[:, None])
    assert 0.05 < shown.mean() < 0.95
    beside, within = (apply(np.where(mask[..., None], 1 - IMAGES, IMAGES))["logits"] for mask in (~shown, shown))
    np.testing.assert_allclose(beside, outputs["logits"], atol=1e-5)
    assert np.abs(within - outputs["logits"]).max(axis=1).min() > 1e-3
    steps = said(model, params)["steps"]
    sides = np.asarray(steps["looks"][..., 2:] - steps["looks"][..., :2]) * [16, 12]
    np.testing.assert_allclose(sides, 4, atol=1e-4)
    assert 0.05 < (np.asarray(steps["seen"][:, -1]) == 0).mean() < 0.95


def test_a_context_chooses_the_first_place_and_has_no_say_in_the_answer() -> None:
    """Pictures have first places of their own; where the policy is deaf to it, another context changes no answer."""
    model, params = built(context=4)
    network = {**params["network"]}
    apply = jax.jit(lambda network: model.apply({"params": {"network": network}}, IMAGES, train=False))
    outputs = apply(network)
    means, places = outputs["features"]["means"], outputs["features"]["places"]
    np.testing.assert_allclose(means, places, atol=1e-6)
    assert len(np.unique(np.asarray(places)[:, 0])) > 6
    network["place"] = jax.tree.map(lambda a: 0 * a, network["place"])  # always the middle
    still = apply(network)
    network["context"] = jax.tree.map(lambda a: a + 1, network["context"])
    np.testing.assert_array_equal(apply(network)["logits"], still["logits"])
    assert not np.array_equal(still["logits"], outputs["logits"])


def test_a_sequence_is_what_is_said_after_each_labels_glimpses() -> None:
    model, params = built(labels=2)
    longer = Model(num_classes=3, **{**SMALL, "glimpses": 6})
    steps, outputs = said(longer, params)["steps"]["logits"], said(model, params)
    np.testing.assert_allclose(outputs["sequence"], steps[:, [2, 5]], atol=1e-6)
    np.testing.assert_array_equal(outputs["logits"], outputs["sequence"][:, 0])
    assert outputs["looks"].shape == (6, 6, 4)


REFUSED = [
    ({"size": 100_000}, "12 x 16: up to 32"), ({"scales": 14}, "up to 5"), ({"context": 17}, "up to 16"),
    ({"context": 4, "policy": "random"}, "model.context=0"), ({"labels": 2, "locate": True}, "possible: one"),
    ({"policy": "greedy"}, "learned"), ({"deviation": 0.0}, "0.0001 to 1"), ({"glimpses": 0}, "at least 1"),
    ({"glimpses": 1}, "nothing to choose"), ({"glimpses": 65}, "64 glimpses at most"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "told"), REFUSED)
def test_fields_out_of_range_are_told(fields: Any, told: str) -> None:
    from tests.refusals import assert_refused

    model = Model(num_classes=3, **{**SMALL, **fields})
    assert_refused(lambda: jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), IMAGES), told)
