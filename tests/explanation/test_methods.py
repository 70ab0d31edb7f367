"""Explanation methods: the contract of each file, hand-computed maps, and the properties that papers state."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.config import registry
from imgloc.config.registry import declared
from imgloc.errors import UserError
from imgloc.explanation.keys import image_keys
from imgloc.explanation.method import Method, normalize
from imgloc.explanation.question import Question
from imgloc.explanation.targets import class_probability
from tests.explanation.small_networks import CLASSES, SIZE, Network, images, maps_of, question
from tests.refusals import assert_refused

METHODS = registry.names("explanation.methods")
FAST = {
    "rise": {"masks": 6}, "smooth_grad": {"samples": 3}, "integrated_gradients": {"steps": 4}, "occlusion": {"patch": 0.5, "stride": 0.5},
}  # fmt: skip
OF_STEPS = ("step_gain",)  # for models that read an image in several steps
GRADIENT_CAMS = ("grad_cam", "grad_cam_plus_plus", "xgrad_cam", "layer_cam", "hires_cam")


@pytest.mark.parametrize("name", METHODS)
def test_a_method_maps_each_image_alone_and_has_only_typed_options(name: str) -> None:
    method = declared("explanation.methods", name, Method)
    parameters = inspect.signature(method.function).parameters
    assert [k for k, p in parameters.items() if p.kind is not p.KEYWORD_ONLY] == ["question", "images_bxhxwxc", "keys_b"]
    assert all(p.default is not p.empty for p in parameters.values() if p.kind is p.KEYWORD_ONLY)
    assert method.meaning
    assert method.cost
    model = Steps() if name in OF_STEPS else Network()
    together = maps_of(name, question(model), **FAST.get(name, {}))
    assert together.dtype == np.float32
    assert together.ndim == 3
    assert together.shape[0] == 2
    assert np.isfinite(together).all()
    assert np.ptp(together[0]) > 0, "the map of this image is flat; choose another seed"
    alone = maps_of(name, question(model, index=((2,),)), images()[1:], **FAST.get(name, {}))
    np.testing.assert_allclose(alone, together[1:], rtol=1e-4, atol=1e-6)


# Eigen-CAM and Score-CAM show active places even so, by their definitions; CAM is for other models.
READ_THE_SCORE = [name for name in METHODS if name not in (*OF_STEPS, "eigen_cam", "score_cam", "cam")]


@pytest.mark.parametrize("name", READ_THE_SCORE)
def test_a_model_that_ignores_the_image_has_no_place_that_matters(name: str) -> None:
    class Ignorant(nn.Module):
        @nn.compact
        def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
            out = Network()(images, train=train)
            return {**out, "logits": out["logits"] * 0.0}

    raw = maps_of(name, question(Ignorant(), layer="Network_0/conv2" if declared("explanation.methods", name, Method).at_layer else ""))
    np.testing.assert_array_equal(normalize(jnp.asarray(raw)), 0.0)


def test_flat_and_nan_maps_are_zeros_and_others_span_zero_to_one() -> None:
    maps = np.zeros((4, 2, 3), np.float32)
    maps[0] = 5.0
    maps[1] = [[1, 2, 3], [4, 5, np.nan]]
    maps[2] = [[-4, 0, 1], [2, 3, 4]]
    maps[3] = 0.1 + 1e-9 * np.arange(6).reshape(2, 3)
    normal, magnitude = np.asarray(normalize(jnp.asarray(maps))), np.asarray(normalize(jnp.asarray(maps), signed=True))
    for each in (0, 1, 3):
        np.testing.assert_array_equal(normal[each], 0.0)
    np.testing.assert_allclose(normal[2], (maps[2] + 4) / 8)
    np.testing.assert_allclose(magnitude[2], np.abs(maps[2]) / 4)
    assert not np.asarray(normalize(jnp.full((1, 2, 2), jnp.inf))).any()


class Linear(nn.Module):
    """A layer `last` that is the image, and logits that are weighted means of its two channels: all maps are known."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
        last = nn.relu(images)
        weights = jnp.array([[1.0, -2.0], [3.0, 0.5]])
        return {"logits": last.mean(axis=(1, 2)) @ weights, "features": {"last": last}}


WEIGHTS = np.array([1.0, 3.0])  # of class 0


def test_maps_of_a_linear_model_are_those_computed_by_hand() -> None:
    x = np.random.default_rng(1).uniform(0.1, 1, (1, 4, 5, 2)).astype(np.float32)
    asked = Question(lambda v, x: Linear().apply(v, x, train=False), {}, question().objective, jnp.array([[0]]))
    weighted = (x * WEIGHTS).sum(-1)
    n = 20
    expected = {
        "cam": weighted, "grad_cam": weighted / n, "xgrad_cam": weighted / n, "hires_cam": weighted / n, "layer_cam": weighted / n,
        "ablation_cam": (x * (WEIGHTS * x.mean((1, 2)) / (WEIGHTS * x.mean((1, 2))).sum())).sum(-1),
        "gradient": np.full((1, 4, 5), 3 / n), "guided_backpropagation": np.full((1, 4, 5), 3 / n), "gradient_times_input": weighted / n,
        "smooth_grad": np.full((1, 4, 5), 3 / n), "integrated_gradients": weighted / n, "deep_lift": weighted / n,
    }  # fmt: skip
    for name, maps in expected.items():
        options = {"noise": 1e-3} if name == "smooth_grad" else {}
        np.testing.assert_allclose(maps_of(name, asked, jnp.asarray(x), **options), maps, rtol=2e-5, atol=1e-7, err_msg=name)
    hidden = maps_of("occlusion", asked, jnp.asarray(x), patch=0.25, stride=0.25, fill=0.0)  # one pixel at a time
    np.testing.assert_allclose(hidden, weighted / n, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pooling", ["max", "flat"])
def test_cam_refuses_models_without_a_linear_layer_after_average_pooling(pooling: str) -> None:
    assert_refused(lambda: maps_of("cam", question(Network(pooling))), "linear layer after global average pooling", "grad_cam")
    assert_refused(lambda: maps_of("cam", question(layer="first")), "linear layer after global average pooling")
    assert_refused(lambda: maps_of("cam", question(objective=class_probability)), "linear layer after global average pooling")


def test_cam_is_the_weights_of_the_linear_layer_times_the_last_maps() -> None:
    asked = question()
    last = asked.outputs(images())["features"]["last"]
    kernel = asked.variables["params"]["classes"]["kernel"]
    by_hand = np.stack([(np.asarray(last[i]) @ np.asarray(kernel))[..., label] for i, label in enumerate((1, 2))])
    np.testing.assert_allclose(maps_of("cam", asked), by_hand, rtol=1e-5, atol=1e-6)


def test_score_cam_weighs_channels_by_the_score_of_the_masked_image() -> None:
    asked = question()
    last = np.asarray(asked.outputs(images())["features"]["last"])
    scores, score = [], jax.jit(asked.score)
    for channel in range(last.shape[-1]):
        masks = np.asarray(jax.image.resize(last[..., channel], (2, SIZE, SIZE), "linear"))
        low, high = masks.min((1, 2), keepdims=True), masks.max((1, 2), keepdims=True)
        masks = np.where(high > low, (masks - low) / np.where(high > low, high - low, 1), 0)
        scores.append(score(images() * masks[..., None]))
    weights = np.exp(scores) / np.exp(scores).sum(0)
    np.testing.assert_allclose(maps_of("score_cam", asked), np.maximum(np.einsum("bhwc,cb->bhw", last, weights), 0), rtol=1e-4, atol=1e-6)
    some = maps_of("score_cam", asked, channels=2)
    assert not np.allclose(some, maps_of("score_cam", asked))
    np.testing.assert_allclose(maps_of("score_cam", asked, channels=6), maps_of("score_cam", asked))


@pytest.mark.parametrize(("height", "channels"), [(3, 8), (8, 3)])  # the smaller product is that of places, or of channels
def test_eigen_cam_is_the_first_singular_vector(height: int, channels: int) -> None:
    x = np.random.default_rng(4).uniform(size=(2, height, height, channels)).astype(np.float32)

    def apply(variables: Any, images: jax.Array) -> dict[str, Any]:
        return {"logits": images.mean((1, 2)), "features": {"last": nn.relu(images)}}

    def through(variables: Any, images: jax.Array) -> dict[str, Any]:
        last = nn.relu(images)
        return {"logits": last.mean((1, 2)), "features": {"last": last}}

    maps = maps_of("eigen_cam", Question(through, {}, question().objective, jnp.array([[0], [1]])), jnp.asarray(x))
    for i in range(2):
        flat = x[i].reshape(-1, channels)
        flat = flat - flat.mean(0)
        u, s, _ = np.linalg.svd(flat, full_matrices=False)
        projected = (u[:, 0] * s[0]).reshape(height, height)
        projected *= np.sign((projected * (x[i] - x[i].mean((0, 1))).mean(-1)).sum())
        np.testing.assert_allclose(maps[i], np.maximum(projected, 0), rtol=1e-3, atol=1e-4)
    assert_refused(
        lambda: maps_of("eigen_cam", Question(apply, {}, question().objective, jnp.array([[0], [1]]), "last"), jnp.asarray(x)),
        "does not depend on layer 'last'",
    )


@pytest.mark.parametrize(("name", "tolerance"), [("integrated_gradients", 1e-3), ("deep_lift", 1e-4)])
def test_attributions_add_up_to_the_change_of_the_score(name: str, tolerance: float) -> None:
    asked = question()
    for baseline in (0.0, 0.3):
        change = asked.score(images()) - asked.score(jnp.full_like(images(), baseline))
        options = {"steps": 200} if name == "integrated_gradients" else {}
        total = maps_of(name, asked, baseline=baseline, **options).sum((1, 2))
        np.testing.assert_allclose(total, change, rtol=tolerance * 10, atol=tolerance)
        assert np.abs(change).min() > 0.01


def exact_gelu(x: jax.Array) -> jax.Array:  # it ends in a copy
    return nn.gelu(x, approximate=False)


def test_deep_lift_rescales_smooth_activation_functions_and_products() -> None:
    class Smooth(nn.Module):
        @nn.compact
        def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
            x = images
            for function in (nn.silu, nn.relu6, nn.tanh, nn.sigmoid, exact_gelu, jax.jit(exact_gelu), nn.LayerNorm(), nn.hard_swish):
                x = function(nn.Dense(5)(x) * 4)
            x = x * nn.sigmoid(nn.Dense(5)(x.mean((1, 2), keepdims=True)))
            return {"logits": nn.Dense(CLASSES)(x.mean((1, 2)))}

    asked = question(Smooth())
    change = asked.score(images()) - asked.score(jnp.zeros_like(images()))
    np.testing.assert_allclose(maps_of("deep_lift", asked).sum((1, 2)), change, rtol=1e-3, atol=1e-5)
    plain = maps_of("gradient_times_input", asked).sum((1, 2))
    assert (np.abs(plain - change) > 1e-3).any(), "gradients alone would do"


def test_guided_backpropagation_drops_negative_gradients_at_every_relu() -> None:
    weights = jnp.array([[1.0, -1.0], [2.0, 3.0]])

    def apply(variables: Any, images: jax.Array) -> dict[str, Any]:
        hidden = nn.relu6(images @ weights)
        return {"logits": nn.relu(hidden @ jnp.array([[1.0], [-2.0]])).sum((1, 2))}

    x = jnp.array([0.9, 0.3]).reshape(1, 1, 1, 2)  # hidden 1.5 and 0; then 1.5
    asked = Question(apply, {}, question().objective, jnp.array([[0]]))
    np.testing.assert_allclose(maps_of("guided_backpropagation", asked, x), [[[2.0]]])
    x = jnp.array([0.2, 0.1]).reshape(1, 1, 1, 2)  # hidden 0.4 and 0.1; then 0.2; the gradient of the second is negative
    np.testing.assert_allclose(maps_of("guided_backpropagation", asked, x), [[[2.0]]])
    np.testing.assert_allclose(maps_of("gradient", asked, x), [[[4.0]]])


def test_guided_backpropagation_refuses_a_model_without_relu() -> None:
    smooth = Question(lambda v, x: {"logits": jnp.tanh(x).mean((1, 2))}, {}, question().objective, jnp.array([[0], [1]]))
    assert_refused(lambda: maps_of("guided_backpropagation", smooth), "requires a model with ReLU")

    class Normalized(nn.Module):  # LayerNorm computes maximum(0, variance)
        relu: bool = False

        @nn.compact
        def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
            x = nn.LayerNorm()(images)
            return {"logits": nn.Dense(CLASSES)((nn.relu(x) if self.relu else x).mean((1, 2)))}

    assert_refused(lambda: maps_of("guided_backpropagation", question(Normalized())), "requires a model with ReLU")
    asked = question(Normalized(relu=True))
    normalized = jax.jit(nn.LayerNorm().apply)({"params": asked.variables["params"]["LayerNorm_0"]}, images())
    weights = np.asarray(asked.variables["params"]["Dense_0"]["kernel"])[:, [1, 2]].T[:, None, None] / SIZE**2

    def through(x: jax.Array) -> jax.Array:  # the ReLU by hand, and the usual gradient of the normalization
        return (
            nn.LayerNorm().apply({"params": asked.variables["params"]["LayerNorm_0"]}, x) * np.maximum(weights, 0) * (normalized > 0)
        ).sum()

    by_hand = np.abs(jax.jit(jax.grad(through))(images())).max(-1)
    np.testing.assert_allclose(maps_of("guided_backpropagation", asked), by_hand, rtol=1e-4, atol=1e-7)


def test_smooth_grad_is_the_mean_gradient_of_noisy_images() -> None:
    asked = question()
    x, key_of_image = images(), image_keys(7, "test", jnp.zeros(1, jnp.int32))[0]
    noise = [jax.random.normal(jax.random.fold_in(key_of_image, number), x.shape[1:]) for number in range(3)]
    span = x.max((1, 2, 3), keepdims=True) - x.min((1, 2, 3), keepdims=True)
    gradient_at = jax.jit(jax.grad(lambda x: asked.score(x).sum()))
    gradients = [gradient_at(x + 0.2 * span * each) for each in noise]
    np.testing.assert_allclose(
        maps_of("smooth_grad", asked, key=7, samples=3, noise=0.2), np.abs(np.mean(gradients, axis=0)).max(-1), rtol=1e-4, atol=1e-6
    )


def test_rise_finds_the_only_pixels_that_count() -> None:
    def corner(variables: Any, images: jax.Array) -> dict[str, Any]:
        return {"logits": images[:, :3, :3].mean((1, 2))}

    asked = Question(corner, {}, question().objective, jnp.array([[0]]))
    maps = maps_of("rise", asked, jnp.ones((1, SIZE, SIZE, 3)), masks=400, grid=4)
    y, x = np.unravel_index(maps[0].argmax(), maps[0].shape)
    assert max(y, x) <= 3
    assert maps[0, :3, :3].mean() > 1.3 * maps[0, 5:, 5:].mean()


class Steps(nn.Module):
    """Reads rows from above: the logits after each row are sums of weighted rows."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
        weights = self.param("weights", nn.initializers.normal(), (images.shape[1], CLASSES))
        logits_bxsxk = jnp.cumsum(images.mean((2, 3))[..., None] * weights, axis=1)
        height = images.shape[1]
        seen = jnp.tril(jnp.ones((height, height)))[None, :, :, None] * jnp.ones((len(images), 1, 1, 1))
        return {"logits": logits_bxsxk[:, -1], "partial_predictions": {"logits": logits_bxsxk, "seen": seen}}


def test_step_gain_is_what_each_row_adds() -> None:
    asked = question(Steps())
    weights = np.asarray(asked.variables["params"]["weights"])
    by_hand = np.asarray(images().mean((2, 3))) * weights[:, [1, 2]].T
    np.testing.assert_allclose(maps_of("step_gain", asked)[..., 0], by_hand, rtol=1e-4, atol=1e-7)
    assert_refused(lambda: maps_of("step_gain", question()), "several steps")


def test_step_gain_places_glimpses_in_their_windows() -> None:
    windows = jnp.array([[[0.0, 0.0, 0.5, 0.5], [0.25, 0.0, 0.75, 0.5]]])

    def glimpses(variables: Any, images: jax.Array) -> dict[str, Any]:
        logits = images.mean() * jnp.array([[[2.0], [5.0]]])
        partial = {"logits": logits, "fixations": windows, "seen": jnp.ones((1, 2, 2, 2))}
        return {"logits": logits[:, -1], "partial_predictions": partial}

    asked = Question(glimpses, {}, question().objective, jnp.array([[0]]))
    np.testing.assert_allclose(maps_of("step_gain", asked, jnp.ones((1, 4, 4, 1))), [[[3.5, 1.5], [0.0, 0.0]]], rtol=1e-5)


@pytest.mark.parametrize("name", GRADIENT_CAMS)
def test_maps_of_any_named_layer_have_its_size(name: str) -> None:
    for layer, size in (("first", 10), ("conv1", 10), ("conv2", 4), ("last", 4)):
        assert maps_of(name, question(layer=layer)).shape == (2, size, size)


def test_unsuitable_layers_are_refused() -> None:
    for name, text in (("lats", "did you mean 'last'?"), ("classes", "expected maps (b, h, w, c)")):
        with pytest.raises(UserError, match="layer") as caught:
            maps_of("grad_cam", question(layer=name))
        assert text in str(caught.value)
