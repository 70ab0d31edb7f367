"""Images of filled rectangles, and a check that boxes follow the pixels of their rectangles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from imgloc.types import Example

SMALLEST = 3.0  # pixels: a side that stays above half of the full intensity after bilinear resampling


DIFFICULT = np.array([True, False, True])  # of the labels 0, 1, 2


def draw_example(size: tuple[int, int], pixel_boxes: Sequence[tuple[int, int, int, int]], *, channels: int = 3, label: int = 0) -> Example:
    """An example on black whose object i is a filled rectangle in channel i with label i; objects 0 and 2 are difficult."""
    image = np.zeros((*size, channels), np.uint8)
    for i, (x0, y0, x1, y1) in enumerate(pixel_boxes):
        image[y0:y1, x0:x1, i] = 255
    boxes = np.array(pixel_boxes, np.float64).reshape(-1, 4) / [size[1], size[0], size[1], size[0]]
    labels = np.arange(len(pixel_boxes))
    return Example(image, boxes.astype(np.float32), labels, label, "an id", "a group", difficult_n=DIFFICULT[labels % len(DIFFICULT)])


def bright_box(image_hxw: np.ndarray) -> np.ndarray:
    """The bounding box xyxy, in pixels, of everything brighter than half of the full intensity."""
    bright = image_hxw > 127
    assert bright.any(), "the object has no pixels"
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


def assert_valid(example: Example, like: Example) -> None:
    """Boxes are float32 in [0, 1], not inverted, with one label each; pixels are uint8; label, id and group do not change."""
    assert example.image_hxwxc.dtype == np.uint8
    assert example.image_hxwxc.shape[2] == like.image_hxwxc.shape[2]
    boxes = example.boxes_nx4
    assert boxes.dtype == np.float32
    assert boxes.shape == (len(example.labels_n), 4)
    assert (boxes >= 0).all()
    assert (boxes <= 1).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert set(example.labels_n.tolist()) <= set(like.labels_n.tolist())
    if like.difficult_n is not None:
        assert example.difficult_n is not None
        assert example.difficult_n.tolist() == DIFFICULT[example.labels_n].tolist(), "each object keeps its flag"
    assert (example.label, example.id, example.group) == (like.label, like.id, like.group)


def assert_boxes_follow(example: Example, *, tolerance: float = 1.01) -> int:
    """Each box with sides of at least SMALLEST pixels encloses its object's pixels; returns the number of compared boxes.

    The threshold locates an edge to half a pixel, and an image that is drawn at whole pixels is off by another half: one pixel in all.
    """
    height, width = example.image_hxwxc.shape[:2]
    compared = 0
    for box, label in zip(example.boxes_nx4, example.labels_n, strict=True):
        pixel_box = box.astype(np.float64) * [width, height, width, height]
        if (pixel_box[2:] - pixel_box[:2]).min() >= SMALLEST:
            error = np.abs(bright_box(example.image_hxwxc[..., label]) - pixel_box).max()
            assert error <= tolerance, f"object {label}: {error:.2f} pixels off"
            compared += 1
    return compared


@st.composite
def examples(draw: st.DrawFn, *, least: int = 8, most: int = 90) -> Example:
    """An RGB or grayscale image of any shape with at most as many rectangles as channels."""
    height, width = draw(st.integers(least, most)), draw(st.integers(least, most))
    channels = draw(st.sampled_from([1, 3, 3]))
    boxes = []
    for _ in range(draw(st.integers(0, channels))):
        x0, y0 = draw(st.integers(0, width - 4)), draw(st.integers(0, height - 4))
        boxes.append((x0, y0, draw(st.integers(x0 + 4, width)), draw(st.integers(y0 + 4, height))))
    return draw_example((height, width), boxes, channels=channels, label=draw(st.integers(0, 3)))


sizes = st.tuples(st.integers(5, 80), st.integers(5, 80))
generators = st.integers(0, 2**32).map(np.random.default_rng)
