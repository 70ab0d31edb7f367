"""Parts of the classical detectors against other implementations, and the detectors on squares that they have not seen."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.color import rgb2gray
from skimage.feature import match_template
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from sklearn.ensemble import AdaBoostClassifier

from imgloc import boxes
from imgloc.features.haar import haar_features
from imgloc.models import bag_of_words, cascade, forest, otsu_component, proposals, ridge, saliency_box, support_vectors, template_matching
from imgloc.models.classical.boosting import boost, votes
from imgloc.models.classical.crops import crops, from_offsets, jittered, to_offsets
from imgloc.models.classical.haar_windows import Stumps, normalized_values, pyramid_boxes, stage_sums, window_values
from tests.models.test_sliding_window import scenes
from tests.refusals import assert_refused

RNG = np.random.default_rng(0)


def test_a_crop_of_whole_pixels_is_a_slice_and_a_larger_one_is_averaged() -> None:
    images = RNG.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    edges = np.array([[[0.2, 0.25, 0.6, 7 / 12], [0.0, 0.0, 0.8, 8 / 12]]] * 2, np.float32)  # 4 x 4 and 8 x 8 pixels
    parts = np.asarray(jax.jit(crops, static_argnums=2)(images, edges, 4))
    np.testing.assert_allclose(parts[:, 0], images[:, 3:7, 2:6], atol=1e-5)
    # Triangles two pixels wide on each side: weights 1/8, 3/8, 3/8, 1/8 inside the image.
    inner = np.einsum("s,bshc->bhc", [1 / 8, 3 / 8, 3 / 8, 1 / 8], images[:, 1:5])
    np.testing.assert_allclose(parts[:, 1, 1, 1], np.einsum("s,bsc->bc", [1 / 8, 3 / 8, 3 / 8, 1 / 8], inner[:, 1:5]), atol=1e-5)
    outside = np.asarray(crops(images, np.tile(np.array([2.0, 2.0, 2.4, 2 + 4 / 12], np.float32), (2, 1, 1)), 4))  # beyond the last pixel
    np.testing.assert_allclose(outside, np.broadcast_to(images[:, None, -1:, -1:], outside.shape), atol=1e-5)


def test_offsets_are_inverted_and_jittered_boxes_overlap() -> None:
    truth = np.tile(np.array([[0.2, 0.3, 0.6, 0.8]], np.float32), (50, 1))
    near = jittered(truth, RNG)
    np.testing.assert_allclose(np.asarray(from_offsets(near, to_offsets(near, truth))), truth, atol=1e-6)
    overlap = boxes.iou(near, truth)
    assert overlap.min() > 0.5
    assert overlap.max() < 1


def test_boosted_stumps_are_as_accurate_as_those_of_scikit_learn() -> None:
    values = RNG.standard_normal((200, 5)).astype(np.float32)
    is_object = values[:, 0] + values[:, 1] ** 2 > 0.5
    stumps = boost(values, is_object, 12)
    assert {stump.feature for stump in stumps} >= {0, 1}
    total = sum(np.where(votes(values, stump), stump.alpha, -stump.alpha) for stump in stumps)
    ours = ((total > 0) == is_object).mean()
    weight = np.where(is_object, 0.5 / is_object.sum(), 0.5 / (~is_object).sum())
    theirs = AdaBoostClassifier(n_estimators=12).fit(values, is_object, sample_weight=weight).score(values, is_object)
    assert ours >= theirs - 0.03
    # The first stump has the smallest weighted error of all thresholds of all features.
    first = weight[votes(values, stumps[0]) != is_object].sum()
    every = [
        weight[((sign * values[:, k] < sign * threshold) != is_object)].sum()
        for k in range(5) for threshold in [*values[:, k], np.inf] for sign in (1, -1)
    ]  # fmt: skip
    assert first == pytest.approx(min(every), abs=1e-6)


def test_window_values_are_those_of_the_pixels_of_each_window() -> None:
    features = haar_features(6, 6)[np.array([3, 50, 200, 300])]
    image = RNG.uniform(0, 1, (1, 9, 8)).astype(np.float32)
    values = np.asarray(normalized_values(image, features))
    assert values.shape == (1, 4, 3, 4)
    window = image[0, 2:8, 1:7]
    alone = np.asarray(normalized_values(window[None], features))[0, 0, 0]
    np.testing.assert_allclose(values[0, 2, 1], alone, atol=1e-4)
    np.testing.assert_allclose(np.asarray(normalized_values(3 * window[None] + 1, features))[0, 0, 0], alone, atol=1e-4)  # light

    stumps = Stumps(features.corners_fxkx2, features.weights_fxk, alone + 0.01, np.float32([1, 2, 3, 4]), np.float32([3, 8]))
    np.testing.assert_allclose(stage_sums(alone, stumps, (2, 2)), [3, 7], atol=1e-6)
    pixels = image[..., None]
    found = np.asarray(window_values(pixels, stumps, (2, 2), 6, (0.75,)))  # 6 of 8 pixels: the image is not resized
    place = np.flatnonzero((np.abs(pyramid_boxes(9, 8, 6, (0.75,)) * [8, 9, 8, 9] - [1, 2, 7, 8]) < 1e-3).all(axis=1))
    assert found[0, place] == pytest.approx(1 + 0.999 * 1)  # it passes the first stage only, with all votes


def test_correlations_are_those_of_scikit_image() -> None:
    image, templates = RNG.uniform(0, 1, (1, 12, 10, 2)).astype(np.float32), RNG.uniform(0, 1, (3, 5, 5, 2)).astype(np.float32)
    found = np.asarray(template_matching.correlations(image, templates, (0.5,)))[0].reshape(8, 6, 3)  # 5 of 10 pixels
    for k, template in enumerate(templates):
        np.testing.assert_allclose(found[..., k], match_template(image[0], template)[..., 0], atol=1e-4)


def test_histograms_of_words_are_those_of_a_search_over_the_vocabulary() -> None:
    local, vocabulary = RNG.standard_normal((2, 4, 6, 3)).astype(np.float32), RNG.standard_normal((5, 3)).astype(np.float32)
    found = np.asarray(bag_of_words.histograms(local, vocabulary, 2)).reshape(2, 5, 5)
    for image, histogram in zip(local, found, strict=True):
        nearest = cdist(image.reshape(-1, 3), vocabulary).argmin(axis=1).reshape(4, 6)
        parts = [nearest, nearest[:2, :3], nearest[:2, 3:], nearest[2:, :3], nearest[2:, 3:]]
        theirs = [np.sqrt(np.bincount(part.ravel(), minlength=5) / part.size) for part in parts]
        np.testing.assert_allclose(histogram, theirs, atol=1e-5)


def test_found_boxes_are_those_of_scikit_image_and_the_object_may_be_dark() -> None:
    images = ndimage.gaussian_filter(RNG.uniform(0, 1, (3, 48, 48)), (0, 2, 2)).astype(np.float32)
    images[2] = 0.5  # no object at all
    find = jax.jit(functools.partial(otsu_component.find, otsu_component.Model(num_classes=2, sigma=(0.0,))))
    found = np.asarray(find(images[..., None]))
    for image, box in zip(images[:2], found, strict=False):
        bright = image > threshold_otsu(image)
        regions = regionprops(label(bright if bright.mean() <= 0.5 else ~bright))
        y0, x0, y1, x1 = max(regions, key=lambda region: region.area).bbox
        np.testing.assert_allclose(box * 48, [x0, y0, x1, y1], atol=1e-3)
    np.testing.assert_array_equal(found[2], [0, 0, 1, 1])
    squares = scenes(3)
    np.testing.assert_allclose(find(1 - squares.images_bxhxwxc / np.float32(255)), squares.boxes_bxnx4[:, 0], atol=1e-5)


def test_a_salient_box_is_around_the_only_object() -> None:
    squares = scenes(20)
    model = saliency_box.Model(num_classes=2, times_mean=(1.5,), sigma=(5.0,))
    found = np.asarray(jax.jit(functools.partial(saliency_box.find, model))(squares.images_bxhxwxc / np.float32(255)))
    center, truth = (found[:, :2] + found[:, 2:]) / 2, squares.boxes_bxnx4[:, 0]
    assert ((center > truth[:, :2]) & (center < truth[:, 2:])).all(axis=1).mean() > 0.8


def predicted(module: Any, model: Any, count: int = 60) -> tuple[dict[str, np.ndarray], Any]:
    """The outputs of a model, fitted on two thirds of the scenes, for the others, and these."""
    whole, split = scenes(count), 2 * count // 3
    prepared = module.prepare(model, iter([jax.tree.map(lambda a: a[:split], whole)]))
    fitted = module.fit(model, prepared, np.random.default_rng(0))
    model = model.clone(**fitted.fields)
    predict = jax.jit(lambda variables, images: model.apply({"fitted": variables}, images, train=False))
    rest = jax.tree.map(lambda a: a[split:], whole)
    return jax.device_get(predict(fitted.variables, rest.images_bxhxwxc / np.float32(255))), rest


@pytest.mark.parametrize(
    ("module", "fields", "iou", "share"),
    [
        (cascade, {"window": 10, "stages": (3, 5), "pool": 150, "levels": 2, "negatives": 100, "c": (1.0,)}, 0.7, 0.8),
        (template_matching, {"size": 10, "levels": 4, "context": (1.4,)}, 0.6, 0.8),
        (proposals, {"levels": 3, "count": 8, "c": (1.0,)}, 0.7, 0.8),
    ],
)
def test_a_detector_finds_squares_that_it_has_not_seen(module: Any, fields: dict[str, Any], iou: float, share: float) -> None:
    outputs, rest = predicted(module, module.Model(num_classes=2, **fields))
    assert boxes.iou(outputs["box"], rest.boxes_bxnx4[:, 0]).mean() > iou
    assert (outputs["logits"].argmax(axis=1) == rest.label_b).mean() >= share


@pytest.mark.parametrize(
    ("module", "fields", "message"),
    [
        (saliency_box, {"times_mean": (0.0,)}, "model.times_mean, sigma and c must be above 0"),
        (otsu_component, {"foreground": "red"}, "foreground (model.foreground)"),
        (cascade, {"stages": ()}, "model.stages must have a number of stumps"),
        (cascade, {"detection_rate": 0.0}, "model.detection_rate must be in (0, 1]"),
        (template_matching, {"context": (0.5,)}, "model.context must be at least 1"),
        (proposals, {"stride": 0.0}, "model.c, box_alpha and stride must be above 0"),
        (bag_of_words, {"local": "sift"}, "local descriptor (model.local)"),
    ],
)
def test_wrong_fields_are_refused(module: Any, fields: dict[str, Any], message: str) -> None:
    model = module.Model(num_classes=2, **fields)
    assert_refused(lambda: model.init(jax.random.key(0), np.zeros((1, 32, 32, 1), np.float32), train=False), message)


def test_more_words_than_descriptors_are_refused() -> None:
    model = bag_of_words.Model(num_classes=2, words=3000, cell=16)
    images = bag_of_words.prepare(model, iter([scenes(2)]))
    assert_refused(lambda: bag_of_words.fit(model, images, np.random.default_rng(0)), "model.words is 3000", "lower it")


@pytest.mark.parametrize("fields", [{"kernel": "linear"}, {"kernel": "rbf"}])
def test_support_vectors_of_a_single_class(fields: dict[str, Any]) -> None:
    assert_fitted_on_one_class(support_vectors, fields)


@pytest.mark.parametrize("module", [cascade, otsu_component, forest, ridge, bag_of_words])
def test_data_of_a_single_class_are_fitted(module: Any) -> None:
    assert_fitted_on_one_class(module, {})


def assert_fitted_on_one_class(module: Any, fields: dict[str, Any]) -> None:
    """The model is fitted on images of its only class; it gives each image the same finite logit, and finds a box."""
    batch = scenes(8)
    batch = batch._replace(label_b=np.zeros_like(batch.label_b), labels_bxn=np.zeros_like(batch.labels_bxn))
    model = module.Model(num_classes=1, **{**module.TINY, **fields})
    fitted = module.fit(model, module.FIT.prepare(model, iter([batch])), np.random.default_rng(0))
    model = model.clone(**fitted.fields)
    predict = jax.jit(lambda variables, images: model.apply({"fitted": variables}, images, train=False))
    outputs = predict(fitted.variables, batch.images_bxhxwxc / np.float32(255))
    logits = np.asarray(outputs["logits"])
    assert logits.shape == (8, 1)
    np.testing.assert_allclose(logits, logits[0, 0], atol=1e-6)
    assert np.isfinite(logits).all()
    assert np.isfinite(np.asarray(outputs["box"])).all()
    without = batch._replace(label_b=np.full_like(batch.label_b, -1))
    prepared = module.FIT.prepare(model, iter([without]))
    assert_refused(lambda: module.fit(model, prepared, np.random.default_rng(0)), "the training examples have no class")


def test_detectors_convert_color_to_gray_levels_as_scikit_image_does() -> None:
    images = RNG.uniform(0, 1, (2, 32, 32, 3)).astype(np.float32)
    images[:, 8:24, 8:24] = [0.0, 1.0, 0.0]
    gray = rgb2gray(images)[..., None].astype(np.float32)
    model = otsu_component.Model(num_classes=2, **otsu_component.TINY)
    find = jax.jit(lambda images: otsu_component.find(model, images))
    np.testing.assert_allclose(find(images), find(gray), atol=1e-6)
    words = bag_of_words.Model(num_classes=2, **bag_of_words.VARIANTS["daisy"])
    local = jax.jit(lambda images: bag_of_words.local_descriptors(words, images))
    np.testing.assert_allclose(local(images), local(gray), atol=1e-3)
