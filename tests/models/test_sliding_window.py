"""Windows: their places and vectors, the convolution that scores them, and a detector that finds squares."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from skimage.feature import hog

from imgloc import boxes
from imgloc.models import sliding_window
from imgloc.models.classical.windows import WindowPyramid, block_maps, responses, window_boxes, window_vectors
from imgloc.types import Batch
from tests.refusals import assert_refused

PYRAMID = WindowPyramid(window=16, cell=4, orientations=5, sides=(0.5, 0.8))
IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 32, 40, 1)).astype(np.float32)


def test_window_vectors_are_the_histograms_of_scikit_image_inside_the_window() -> None:
    maps = [np.asarray(level) for level in jax.jit(block_maps, static_argnums=1)(IMAGES, PYRAMID)]
    levels = window_boxes(32, 40, PYRAMID)
    assert [level.shape[:2] for level in levels] == [tuple(n - 2 for n in blocks.shape[1:3]) for blocks in maps]
    # A window of the first level has 16 of 32 rows: the image is not resized, and has a margin of one cell on each side.
    columns = levels[0].shape[1]
    row, column = 2, 3
    np.testing.assert_allclose(levels[0][row, column] * [40, 32, 40, 32], [8, 4, 24, 20], atol=1e-5)
    vector = window_vectors(maps, PYRAMID, np.array([1]), np.array([row * columns + column]))[0].reshape(3, 3, -1)
    whole = hog(IMAGES[1, ..., 0], orientations=5, pixels_per_cell=(4, 4), cells_per_block=(2, 2), feature_vector=False)
    theirs = whole[1:4, 2:5].reshape(3, 3, -1)  # cells of the image without the margin
    np.testing.assert_allclose(vector, theirs, atol=2e-3)


def test_the_convolution_gives_the_dot_products_of_window_vectors() -> None:
    maps = jax.jit(block_maps, static_argnums=1)(IMAGES, PYRAMID)
    weights = np.random.default_rng(1).standard_normal((3, 3, PYRAMID.depth, 2)).astype(np.float32)
    dense = np.asarray(jax.jit(responses)(maps, weights))
    count = sum(level.shape[0] * level.shape[1] for level in window_boxes(32, 40, PYRAMID))
    assert dense.shape == (2, count, 2)
    image_m, window_m = np.array([0, 1, 1, 0]), np.array([0, count - 1, 30, count // 2])
    vectors = window_vectors([np.asarray(level) for level in maps], PYRAMID, image_m, window_m)
    np.testing.assert_allclose(vectors @ weights.reshape(-1, 2), dense[image_m, window_m], atol=1e-4)


def test_a_square_around_a_box_has_its_center_and_its_longer_side_times_the_context() -> None:
    square = boxes.squares_around(np.array([[0.2, 0.2, 0.4, 0.3]], np.float32), 100, 50, 1.5)[0] * [50, 100, 50, 100]
    np.testing.assert_allclose(square, [7.5, 17.5, 22.5, 32.5], atol=1e-4)


def scenes(count: int) -> Batch:
    """Canvases with a filled square of class 0 or a hollow one of class 1, at random places and sizes."""
    rng = np.random.default_rng(2)
    images, edges = np.zeros((count, 48, 48, 1), np.uint8), np.zeros((count, 1, 4), np.float32)
    labels = np.arange(count, dtype=np.int32) % 2
    for i in range(count):
        side = int(rng.integers(10, 16))
        y, x = rng.integers(0, 48 - side, 2).tolist()
        images[i, y : y + side, x : x + side] = 200
        if labels[i]:
            images[i, y + 3 : y + side - 3, x + 3 : x + side - 3] = 0
        edges[i, 0] = np.array([x, y, x + side, y + side]) / 48
    full = np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1))
    return Batch(images, edges, labels[:, None], np.ones((count, 1), bool), labels, np.ones(count, bool), full)


def test_a_detector_finds_squares_that_it_has_not_seen() -> None:
    whole = scenes(60)
    model = sliding_window.Model(num_classes=2, window=16, cell=4, levels=3, rounds=1, c=(0.1,), max_detections=2)
    prepared = sliding_window.prepare(model, iter([jax.tree.map(lambda a: a[:40], whole)]))
    fitted = sliding_window.fit(model, prepared, np.random.default_rng(0))
    assert len(fitted.fields["sides"]) == 3
    model = model.clone(**fitted.fields)
    predict = jax.jit(lambda variables, images: model.apply({"fitted": variables}, images, train=False))
    outputs = predict(fitted.variables, whole.images_bxhxwxc[40:] / np.float32(255))
    assert (np.asarray(outputs["logits"]).argmax(axis=1) == whole.label_b[40:]).mean() > 0.8
    truth = whole.boxes_bxnx4[40:, 0]
    assert boxes.iou(np.asarray(outputs["box"]), truth).mean() > 0.75
    best = np.asarray(outputs["boxes"])[:, 0]
    assert boxes.iou(best, truth).mean() > 0.75
    assert (np.asarray(outputs["scores"])[:, 0] >= np.asarray(outputs["scores"])[:, 1]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": 30}, "model.window must be a multiple of model.cell"),
        ({"c": (0.0,)}, "model.c and box_alpha must be above 0"),
        ({"rounds": -1}, "model.rounds is -1"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, object], message: str) -> None:
    model = sliding_window.Model(num_classes=2, **fields)  # type: ignore[arg-type]
    assert_refused(lambda: model.init(jax.random.key(0), IMAGES, train=False), message)


def test_training_images_without_boxes_are_refused() -> None:
    batch = scenes(4)._replace(object_mask_bxn=np.zeros((4, 1), bool))
    assert_refused(lambda: sliding_window.prepare(sliding_window.Model(num_classes=2), iter([batch])), "no training example has a box")
