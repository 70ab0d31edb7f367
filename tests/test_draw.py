"""Boxes on pictures: exactly the expected pixels are colored."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imgloc import draw
from imgloc.draw import PREDICTED_COLOR, TRUE_COLOR, draw_box, to_picture


def drawn(box: tuple[float, ...], size: tuple[int, int] = (40, 20), caption: str = "") -> np.ndarray:
    picture = Image.new("RGB", size)
    draw_box(picture, box, TRUE_COLOR, caption)
    return np.asarray(picture)


def test_the_outline_is_on_the_outermost_pixels_of_the_box() -> None:
    pixels = drawn((0.25, 0.1, 0.75, 0.9))  # pixels 10 to 29 and 2 to 17
    expected = np.zeros((20, 40), bool)
    expected[2:18, 10:30] = True
    expected[3:17, 11:29] = False
    np.testing.assert_array_equal((pixels == TRUE_COLOR).all(axis=2), expected)
    halo = np.zeros((20, 40), bool)
    halo[1:19, 9:31] = True
    halo[2:18, 10:30] = False
    assert (pixels[halo] == 255).all()
    assert not pixels[~expected & ~halo].any()


@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.5, 0.5, 0.5, 0.5), (0.0, 0.0, 1e-4, 1e-4), (0.999, 0.999, 1.0, 1.0)])
def test_any_valid_box_can_be_drawn(box: tuple[float, ...]) -> None:
    pixels = drawn(box)
    assert (pixels == TRUE_COLOR).all(axis=2).any()


@pytest.mark.parametrize("y0", [0.0, 0.5])
def test_a_caption_is_beside_the_box_and_inside_the_picture(y0: float) -> None:
    plain, captioned = drawn((0.1, y0, 0.9, 1.0), (400, 200)), drawn((0.1, y0, 0.9, 1.0), (400, 200), "seven 0.98")
    changed = np.argwhere((plain != captioned).any(axis=2))
    assert len(changed) > 50
    assert abs(changed[:, 1].min() - 40) < 8
    assert abs(changed[:, 0].mean() - 200 * y0) < 30
    assert captioned.min(axis=2).max() > 180  # white letters with antialiasing


def test_line_width_grows_with_the_picture() -> None:
    large = drawn((0.25, 0.25, 0.75, 0.75), (1000, 1000))
    assert (large == TRUE_COLOR).all(axis=2)[500].sum() == 2 * 4


def test_pictures_of_gray_and_rgb_pixels() -> None:
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    np.testing.assert_array_equal(np.asarray(to_picture(gray)), np.repeat(gray, 3, axis=2))
    rgb = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    np.testing.assert_array_equal(np.asarray(to_picture(rgb)), rgb)
    assert TRUE_COLOR != PREDICTED_COLOR


def test_maps_are_shown_in_the_range_that_most_of_them_have() -> None:
    maps = np.linspace(-1, 2, 1000, dtype=np.float32).reshape(20, 50, 1)
    ranged, signed = draw.show_range(maps), draw.show_signed(maps)
    np.testing.assert_allclose(ranged, np.clip((maps + 1) / (np.quantile(maps, 0.99) + 1), 0, 1), atol=1e-6)
    np.testing.assert_allclose(signed, np.clip(0.5 + 0.5 * maps / np.quantile(np.abs(maps), 0.99), 0, 1), atol=1e-6)
    spot = np.zeros((20, 20, 1), np.float32)
    spot[0, 0] = 3
    assert draw.show_range(spot).max() == draw.show_signed(spot).max() == 1
    for flat in (np.zeros((4, 4, 3)), np.ones((4, 4, 2))):
        assert np.isfinite(draw.show_range(flat)).all()
        assert np.isfinite(draw.show_signed(flat)).all()


def test_three_maps_are_colors_and_others_are_averaged() -> None:
    maps = np.stack([np.full((2, 3), value, np.float32) for value in (0.2, 0.4, 1.5)], axis=-1)
    np.testing.assert_array_equal(draw.show_pixels(maps), np.minimum(maps, 1))
    np.testing.assert_allclose(draw.show_pixels(maps[..., :2]), np.full((2, 3, 1), 0.3), atol=1e-6)
