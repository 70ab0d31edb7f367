"""Boxes match the decoded pixels for every stored orientation."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from imgloc.data.annotated.annotations import Annotation
from imgloc.data.annotated.truth import objects_of, refers_to_stored
from imgloc.data.images import decode
from imgloc.data.images.picture import Picture

SIZE = (40, 24)  # width, height of the stored file
BOX = (4, 6, 20, 11)  # of the bright part of it
CLASSES = {"cat": 0, "dog": 1}


def drawn(orientation: int, size: tuple[int, int] = SIZE) -> Picture:
    """Returns a decoded dark picture with a bright box at BOX of its stored pixels."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    return decode.decode_image(file.getvalue())


def bright(picture: Picture) -> list[float]:
    """Returns the box of the bright part, in upright pixels."""
    ys, xs = np.nonzero(picture.pixels_hxwxc[..., 0] > 128)
    return [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]


def upright_size(picture: Picture) -> tuple[int, int]:
    return picture.pixels_hxwxc.shape[1], picture.pixels_hxwxc.shape[0]


def annotation_of(
    *boxes: tuple[float, ...], names: tuple[str, ...] = (), size: tuple[int, int] = (0, 0), relative: bool = False
) -> Annotation:
    names = names or ("cat",) * len(boxes)
    return Annotation("a.png", np.array(boxes, np.float64).reshape(-1, 4), names, relative=relative, width=size[0], height=size[1])


def in_pixels(boxes: np.ndarray, picture: Picture) -> list[float]:
    return (boxes[0] * np.array([*upright_size(picture)] * 2)).tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_the_upright_picture(orientation: int) -> None:
    picture = drawn(orientation)
    seen = tuple(bright(picture))
    for size in (upright_size(picture), (0, 0)):
        boxes, labels, *_ = objects_of(annotation_of(seen, size=size), picture, CLASSES)
        np.testing.assert_allclose(in_pixels(boxes, picture), seen, atol=1e-5)
        assert labels.tolist() == [0]
    shares = tuple(np.array(seen) / ([*upright_size(picture)] * 2))
    boxes, *_ = objects_of(annotation_of(shares, relative=True), picture, CLASSES)
    np.testing.assert_allclose(in_pixels(boxes, picture), seen, atol=1e-5)


@pytest.mark.parametrize("orientation", [1, 5, 6, 7, 8])
@pytest.mark.parametrize("relative", [False, True])
def test_boxes_of_the_stored_picture_are_rotated_with_it(orientation: int, relative: bool) -> None:
    picture = drawn(orientation)
    box = tuple(np.array(BOX) / ([*SIZE] * 2)) if relative else BOX
    boxes, *_ = objects_of(annotation_of(box, size=SIZE, relative=relative), picture, CLASSES)
    np.testing.assert_allclose(in_pixels(boxes, picture), bright(picture), atol=1e-5)


def test_boxes_of_a_square_picture_refer_to_the_upright_one() -> None:
    picture = drawn(6, (30, 30))
    boxes, *_ = objects_of(annotation_of(tuple(bright(picture)), size=(30, 30)), picture, CLASSES)
    np.testing.assert_allclose(in_pixels(boxes, picture), bright(picture), atol=1e-5)


def test_boxes_annotated_at_another_size_are_scaled_by_it() -> None:
    boxes, *_ = objects_of(annotation_of(tuple(2 * edge for edge in BOX), size=(80, 48)), drawn(1), CLASSES)
    np.testing.assert_allclose(in_pixels(boxes, drawn(1)), BOX, atol=1e-5)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_picture_decoded_at_a_smaller_scale_has_the_same_boxes(orientation: int) -> None:
    pixels = np.zeros((320, 480, 3), np.uint8)
    pixels[64:160, 32:128] = 255
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "JPEG", quality=95, exif=exif)
    whole, reduced = decode.decode_image(file.getvalue()), decode.decode_image(file.getvalue(), at_least=(50, 50))
    assert reduced.pixels_hxwxc.size < whole.pixels_hxwxc.size
    annotation = annotation_of((32, 64, 128, 160), size=(480, 320))
    for picture in (whole, reduced):
        boxes, *_ = objects_of(annotation, picture, CLASSES)
        np.testing.assert_allclose(in_pixels(boxes, picture), bright(picture), atol=0.5)


def test_boxes_are_clipped_and_left_out_without_area_or_class() -> None:
    annotation = annotation_of(
        (-5, -5, 10, 10), (30, 20, 50, 30), (5, 5, 5, 9), (9, 5, 5, 9), (41, 0, 50, 24), (1, 1, 2, 2), (1, 1, 2, 2), (0, 0, 4, 4),
        names=("dog", "cat", "cat", "cat", "cat", "cat", "cat", "owl"),
    )  # fmt: skip
    boxes, labels, *_ = objects_of(annotation, drawn(1), CLASSES)
    np.testing.assert_allclose(boxes * ([*SIZE] * 2), [(0, 0, 10, 10), (30, 20, 40, 24), (1, 1, 2, 2), (1, 1, 2, 2)], atol=1e-5)
    assert labels.tolist() == [1, 0, 0, 0]
    assert boxes.dtype == np.float32
    assert labels.dtype == np.int32


def test_no_box_and_a_box_thinner_than_float32_resolution() -> None:
    for annotation in (annotation_of(), annotation_of((20.0, 1.0, 20.0 + 1e-9, 5.0))):
        boxes, labels, *_ = objects_of(annotation, drawn(1), CLASSES)
        assert boxes.shape == (0, 4)
        assert labels.shape == (0,)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_where_the_size_does_not_decide_the_data_set_does(orientation: int) -> None:
    picture = drawn(orientation)
    entry = Annotation("a.png", np.array([BOX], np.float64), ("cat",), width=SIZE[0], height=SIZE[1])
    shown, *_ = objects_of(entry, picture, CLASSES)
    stored, *_ = objects_of(entry, picture, CLASSES, stored_pixels=True)
    np.testing.assert_allclose(shown[0] * np.array([*SIZE, *SIZE]), BOX, atol=1e-4)
    np.testing.assert_allclose(stored[0] * np.array([*SIZE, *SIZE]), bright(picture), atol=1e-4)


def test_what_an_annotated_size_refers_to() -> None:
    for orientation in range(1, 9):
        picture = drawn(orientation)
        expected = {SIZE: True, SIZE[::-1]: False} if orientation >= 5 else {SIZE: None, SIZE[::-1]: None}
        for (width, height), refers in expected.items():
            assert refers_to_stored(Annotation("a", np.zeros((0, 4)), (), width=width, height=height), picture) is refers


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crowds_turn_with_the_picture_and_flags_stay_with_their_boxes(orientation: int) -> None:
    picture = drawn(orientation)
    seen = tuple(bright(picture))
    empty = (3.0, 3.0, 3.0, 9.0)
    annotation = dataclasses.replace(
        annotation_of(empty, seen, names=("cat", "dog"), size=upright_size(picture)),
        difficult=(False, True), crowd_boxes_mx4=np.array([seen, empty, seen]), crowd_names=("dog", "cat", "undeclared"),
    )  # fmt: skip
    objects = objects_of(annotation, picture, CLASSES)
    assert (objects.labels_n.tolist(), objects.crowd_labels_m.tolist()) == ([1], [1])
    assert objects.difficult_n is not None
    assert objects.difficult_n.tolist() == [True]
    np.testing.assert_array_equal(objects.crowd_boxes_mx4, objects.boxes_nx4)
    plain = dataclasses.replace(annotation, difficult=(True, False), crowd_names=(), crowd_boxes_mx4=np.zeros((0, 4)))
    assert objects_of(plain, picture, CLASSES).difficult_n is None, "the difficult object has no area"
