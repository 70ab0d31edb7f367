"""The heads of score maps against loops in NumPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.errors import UserError
from imgloc.models.score_map_heads import acol, adl, cam, multiplicative_fusion, rethought_cam

CLASSES = 3
FEATURES = np.random.default_rng(0).random((4, 5, 6, 7)).astype(np.float32)
MAPS = (FEATURES[:, None],)  # of a backbone with one pass


def built(head: Any, label_b: Any = None) -> tuple[Any, dict[str, np.ndarray]]:
    """The variables of a head, away from their initial zeros, and its outputs in evaluation."""
    variables = head.init(jax.random.key(0), MAPS, CLASSES, label_b=None, train=False)
    rng = np.random.default_rng(1)
    moved = jax.tree.map(lambda a: np.asarray(a) + rng.uniform(0, 0.3, a.shape).astype(np.float32), jax.device_get(variables))
    return moved, jax.device_get(head.apply(moved, MAPS, CLASSES, label_b=label_b, train=False))


def normalized(score_map: np.ndarray) -> np.ndarray:
    return (score_map - score_map.min()) / (score_map.max() - score_map.min())


@pytest.mark.parametrize("head", [cam.Head(channels=4), adl.Head(channels=4)])
def test_logits_are_the_means_of_the_maps_and_those_of_a_dense_layer_after_pooling(head: Any) -> None:
    variables, outputs = built(head)
    np.testing.assert_allclose(outputs["logits"], outputs["score_maps"].mean(axis=(1, 2)), rtol=1e-5)
    weights = variables["params"]["classes"]
    features = head.apply(variables, MAPS, CLASSES, label_b=None, train=False, capture_intermediates=True)[1]["intermediates"]
    normed = np.maximum(np.asarray(features["BatchNorm_0"]["__call__"][0]), 0)
    np.testing.assert_allclose(outputs["logits"], normed.mean(axis=(1, 2)) @ weights["kernel"] + weights["bias"], rtol=1e-4)


@pytest.mark.parametrize("use_mask", [True, False])
def test_attention_dropout(use_mask: bool) -> None:
    found = adl.attention_dropout(jnp.asarray(FEATURES), jnp.asarray(use_mask), 0.8)
    for i in range(4):
        attention = FEATURES[i].mean(axis=-1)
        for y in range(5):
            for x in range(6):
                kept = float(attention[y, x] < 0.8 * attention.max())
                factor = kept if use_mask else 1 / (1 + np.exp(-attention[y, x]))
                np.testing.assert_allclose(found[i, y, x], FEATURES[i, y, x] * factor, rtol=1e-5)


def test_attention_dropout_drops_at_its_rate_in_training_alone() -> None:
    variables, before = built(adl.Head(channels=4, drop_rate=0.75))

    def trained(seed: int, rate: float) -> np.ndarray:
        head = adl.Head(channels=4, drop_rate=rate)
        rngs = {"dropout": jax.random.key(seed)}
        outputs, _ = head.apply(variables, MAPS, CLASSES, label_b=None, train=True, rngs=rngs, mutable=["batch_stats"])
        return np.asarray(outputs["logits"])

    masked, attended = trained(0, 1.0), trained(0, 0.0)
    assert not np.allclose(masked, attended)
    assert not np.allclose(masked, before["logits"])
    seen = {np.round(trained(seed, 0.5), 3).tobytes() for seed in range(16)}
    assert len(seen) == 4, "each of the two layers chooses between two maps"
    np.testing.assert_array_equal(masked, trained(7, 1.0))


def test_the_second_classifier_does_not_see_the_place_of_the_class() -> None:
    maps = np.random.default_rng(2).standard_normal((4, 5, 6, CLASSES)).astype(np.float32)
    labels = np.array([0, 2, 1, 2])
    found = acol.without_class(jnp.asarray(FEATURES), jnp.asarray(maps), jnp.asarray(labels), 0.6)
    hidden = 0
    for i, label in enumerate(labels):
        score_map = normalized(maps[i, :, :, label])
        expected = np.where(score_map[..., None] >= 0.6, 0, FEATURES[i])
        hidden += int((score_map >= 0.6).sum())
        np.testing.assert_allclose(found[i], expected, rtol=1e-6)
    assert 0 < hidden < 4 * 30


def test_complementary_maps_are_the_larger_of_both_normalized_ones() -> None:
    head = acol.Head(channels=4)
    variables, outputs = built(head)
    first = acol.Classifier(4, CLASSES)
    parts = [{name: variables[name][part] for name in variables} for part in ("first", "second")]
    logits, maps = first.apply(parts[0], FEATURES, train=False)
    left = acol.without_class(jnp.asarray(FEATURES), maps, logits.argmax(axis=-1), 0.6)
    second_logits, second_maps = first.apply(parts[1], left, train=False)
    np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-5)
    np.testing.assert_allclose(outputs["second_logits"], second_logits, rtol=1e-5)
    for i in range(4):
        for k in range(CLASSES):
            expected = np.maximum(normalized(np.asarray(maps)[i, :, :, k]), normalized(np.asarray(second_maps)[i, :, :, k]))
            np.testing.assert_allclose(outputs["score_maps"][i, :, :, k], expected, atol=1e-5)


def test_a_known_class_changes_what_the_second_classifier_sees() -> None:
    head = acol.Head(channels=4)
    variables, predicted = built(head)
    best = predicted["logits"].argmax(axis=-1)
    same = head.apply(variables, MAPS, CLASSES, label_b=jnp.asarray(best), train=False)
    other = head.apply(variables, MAPS, CLASSES, label_b=jnp.asarray((best + 1) % CLASSES), train=False)
    np.testing.assert_array_equal(same["second_logits"], predicted["second_logits"])
    assert not np.allclose(other["second_logits"], predicted["second_logits"])
    np.testing.assert_array_equal(other["logits"], predicted["logits"])


def test_thresholded_average() -> None:
    channels = np.zeros((1, 2, 2, 3), np.float32)
    channels[0, :, :, 0] = [[1.0, 0.5], [0.05, 0.1]]  # above 0.1 times the maximum: 1 and 0.5
    channels[0, :, :, 1] = [[0.0, 0.0], [0.0, 2.0]]
    found = rethought_cam.thresholded_average(jnp.asarray(channels), 0.1)
    np.testing.assert_allclose(found, [[0.75, 2.0, 0.0]])
    average = rethought_cam.thresholded_average(jnp.asarray(FEATURES), 0.0)
    np.testing.assert_allclose(average, FEATURES.mean(axis=(1, 2)), rtol=1e-5)  # all features are above 0


def test_negative_weights_are_clamped_and_maps_are_cut_at_the_percentile() -> None:
    head = rethought_cam.Head(channels=4)
    variables, outputs = built(head)
    variables["params"]["classes"]["kernel"][::2] *= -1
    outputs, state = head.apply(variables, MAPS, CLASSES, label_b=None, train=False, capture_intermediates=True)
    features = np.maximum(np.asarray(state["intermediates"]["BatchNorm_0"]["__call__"][0]), 0)
    weights = np.maximum(variables["params"]["classes"]["kernel"], 0)
    assert (weights == 0).any()
    for i in range(4):
        for k in range(CLASSES):
            whole = features[i] @ weights[:, k]
            limit = np.percentile(whole, 90)
            np.testing.assert_allclose(outputs["score_maps"][i, :, :, k], np.minimum(whole, limit), rtol=1e-4, atol=1e-6)
            # A threshold of the cut map is that share of the percentile.
            np.testing.assert_array_equal(np.minimum(whole, limit) > 0.35 * limit, whole > 0.35 * limit)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (adl.Head(drop_rate=1.5), r"model\.head\.drop_rate must be from 0 to 1, got 1\.5"),
        (rethought_cam.Head(pooling_threshold=1.0), r"model\.head\.pooling_threshold must be at least 0 and below 1, got 1\.0"),
        (rethought_cam.Head(percentile=0.0), r"model\.head\.percentile must be above 0 and at most 100, got 0\.0"),
        (multiplicative_fusion.Head(fused=0), r"model\.head\.fused must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(head: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        head.init(jax.random.key(0), MAPS, CLASSES, label_b=None, train=False)


def test_multiplicative_fusion_multiplies_the_enlarged_deep_features_with_the_shallow_ones() -> None:
    shallow, deep = (np.random.default_rng(seed).random(shape, np.float32) for seed, shape in ((0, (2, 8, 8, 3)), (1, (2, 1, 4, 4, 5))))
    head = multiplicative_fusion.Head(channels=6)
    variables = head.init(jax.random.key(0), (shallow, deep), CLASSES, label_b=None, train=False)
    outputs, captured = head.apply(variables, (shallow, deep), CLASSES, label_b=None, train=False, capture_intermediates=True)
    fine, coarse = (np.maximum(captured["intermediates"][f"BatchNorm_{i}"]["__call__"][0], 0) for i in range(2))
    enlarged = np.stack([zoomed(zoomed(each, 0), 1) for each in coarse])
    weights = variables["params"]["classes"]
    np.testing.assert_allclose(outputs["score_maps"], (fine * enlarged) @ weights["kernel"] + weights["bias"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs["logits"], outputs["score_maps"].mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)


def zoomed(x: np.ndarray, axis: int) -> np.ndarray:
    """Twice as many values along an axis, by linear interpolation between the centers of pixels."""
    n = x.shape[axis]
    places = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
    low = np.minimum(places.astype(int), n - 2)
    weight = np.expand_dims(places - low, tuple(i for i in range(x.ndim) if i != axis))
    return np.asarray(np.take(x, low, axis) * (1 - weight) + np.take(x, low + 1, axis) * weight)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_multiplicative_fusion_uses_at_most_the_maps_that_there_are(count: int) -> None:
    maps = (np.ones((1, 8, 8, 3), np.float32), np.ones((1, 1, 4, 4, 5), np.float32))
    head = multiplicative_fusion.Head(channels=6, fused=count)
    variables = head.init(jax.random.key(0), maps, CLASSES, label_b=None, train=False)
    side = 4 if count == 1 else 8
    assert head.apply(variables, maps, CLASSES, label_b=None, train=False)["score_maps"].shape == (1, side, side, CLASSES)
