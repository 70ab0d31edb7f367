from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.data.images import decode, jpeg
from tests.refusals import assert_refused


def scene(width: int = 53, height: int = 37) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4 % 256, y * 6 % 256, (x + y) * 3 % 256], axis=-1).astype(np.uint8)


def encoded(mode: str = "RGB", picture: np.ndarray[Any, Any] | None = None, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(scene() if picture is None else picture).convert(mode).save(content, "JPEG", **options)
    return content.getvalue()


def by_pillow(content: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"quality": 100, "subsampling": 0}, {"progressive": True}, {"quality": 20, "subsampling": 2}])
def test_pixels_equal_pillows(mode: str, options: dict[str, Any]) -> None:
    content = encoded(mode, **options)
    np.testing.assert_array_equal(jpeg.decode(content), by_pillow(content))
    np.testing.assert_array_equal(decode.decode_image(content).pixels_hxwxc, by_pillow(content))


def test_unsupported_content_gives_none() -> None:
    png = io.BytesIO()
    Image.fromarray(scene()).save(png, "PNG")
    for content in (encoded("CMYK"), png.getvalue(), b"", b"\xff\xd8\xff", b"\xff\xd8\xff" + bytes(100)):
        assert jpeg.size(content) is None
        assert jpeg.decode(content) is None


def test_truncated_images_are_refused() -> None:
    for options in ({}, {"progressive": True}):
        content = encoded(quality=95, picture=np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8), **options)
        for cut in range(700, len(content) - 1, 97):
            assert_refused(lambda cut=cut, content=content: decode.decode_image(content[:cut]), "damaged")
    assert decode.decode_image(encoded() + b"more").pixels_hxwxc.shape == (37, 53, 3)


def test_missing_data_is_refused() -> None:
    content = encoded(quality=95, picture=np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    half = len(content) // 2
    assert_refused(lambda: jpeg.decode(content[:half] + content[half + 400 :]), "damaged")


@pytest.mark.parametrize(("at_least", "scale"), [((20, 30), 1), ((19, 27), 2), ((10, 27), 2), ((10, 14), 4), ((5, 7), 8), ((1, 1), 8)])
def test_no_side_is_reduced_below_the_minimum(at_least: tuple[int, int], scale: int) -> None:
    assert jpeg.scale_for(37, 53, at_least) == scale
    picture = decode.decode_image(encoded(), at_least=at_least)
    assert (picture.scale, picture.width, picture.height) == (scale, 53, 37)
    assert picture.pixels_hxwxc.shape == (-(-37 // scale), -(-53 // scale), 3)


def test_a_reduced_image_has_the_means_of_the_whole_one() -> None:
    y, x = np.mgrid[:64, :96]
    smooth = np.stack([x * 2, y * 3, 255 - x], axis=-1).astype(np.uint8)
    content = encoded(picture=smooth, quality=95, subsampling=0)
    for scale in (2, 4, 8):
        means = smooth.reshape(64 // scale, scale, 96 // scale, scale, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(jpeg.decode(content, scale=scale), means, atol=8)


def test_the_minimum_size_refers_to_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    content = encoded(exif=exif)
    upright = decode.decode_image(content)
    assert upright.pixels_hxwxc.shape == (53, 37, 3)
    np.testing.assert_array_equal(upright.pixels_hxwxc, np.rot90(by_pillow(content), -1))
    assert decode.decode_image(content, at_least=(27, 19)).scale == 2
    assert decode.decode_image(content, at_least=(19, 27)).scale == 1  # 53 high, 37 wide: a half has less than 27 columns
    assert decode.decode_image(content, turn=False).pixels_hxwxc.shape == (37, 53, 3)
    np.testing.assert_array_equal(decode.decode_image(content, turn=False).pixels_hxwxc, by_pillow(content))
    assert not jpeg.may_be_rotated(encoded())
