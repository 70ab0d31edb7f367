"""Reading images of every mode, turned, cut off and pretended."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.data import decode
from imgloc.errors import UserError
from tests.refusals import assert_refused

WIDTH, HEIGHT = 24, 16
BOX = (4, 2, 14, 8)  # x0, y0, x1, y1 of the bright object, the last pixel not included


def scene() -> np.ndarray:
    """A red object on a dark ground, RGB."""
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = (240, 60, 30)
    return pixels


def saved(tmp_path: Path, image: Image.Image, name: str, **options: Any) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


def bright_box(image: np.ndarray, level: int = 60) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(image.max(axis=2) > level)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1", "CMYK", "YCbCr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_gives_uint8_of_the_wanted_channels(mode: str, channels: int, tmp_path: Path) -> None:
    name = {"CMYK": "a.tif", "YCbCr": "a.jpg"}.get(mode, "a.png")
    options = {"quality": 100} if mode == "YCbCr" else {}
    path = saved(tmp_path, Image.fromarray(scene()).convert(mode), name, **options)
    found = decode.read_image(path, channels=channels)
    assert found.shape == (HEIGHT, WIDTH, channels)
    assert found.dtype == np.uint8
    if mode != "1":  # one bit is dithered
        inside, outside = found[5, 8].astype(int), found[12, 20].astype(int)
        tolerance = 40 if mode in ("P", "YCbCr") else 3  # the web palette and JPEG are coarse
        expected = np.array([240, 60, 30]) if channels == 3 and mode in ("RGB", "RGBA", "P", "CMYK", "YCbCr") else 110
        np.testing.assert_allclose(inside, expected, atol=tolerance)
        np.testing.assert_allclose(outside, 20, atol=tolerance)


def test_lossless_pixels_arrive_unchanged(tmp_path: Path) -> None:
    np.testing.assert_array_equal(decode.read_image(saved(tmp_path, Image.fromarray(scene()), "a.png")), scene())
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(decode.read_image(saved(tmp_path, Image.fromarray(grey), "g.png"), channels=1)[..., 0], grey)
    np.testing.assert_array_equal(decode.read_image(tmp_path / "g.png", channels=3), np.repeat(grey[..., None], 3, axis=2))


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path: Path) -> None:
    deep = (np.arange(256, dtype=np.uint16).reshape(16, 16) * 257).astype(np.uint16)
    found = decode.read_image(saved(tmp_path, Image.fromarray(deep), "deep.png"), channels=1)
    np.testing.assert_array_equal(found[..., 0], np.arange(256).reshape(16, 16))


def test_floats_have_no_agreed_range(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)), "f.tif")
    with pytest.raises(UserError, match="mode F"):
        decode.read_image(path)


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    rgba = np.dstack([scene(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[5, 8, 3], rgba[6, 8, 3] = 0, 128
    found = decode.read_image(saved(tmp_path, Image.fromarray(rgba), "t.png"))
    assert found[5, 8].tolist() == [0, 0, 0]
    assert found[5, 9].tolist() == [240, 60, 30]
    np.testing.assert_allclose(found[6, 8], np.array([240, 60, 30]) / 2, atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(orientation: int, tmp_path: Path) -> None:
    """Stored the way a camera would store it, every image comes out upright."""
    upright = np.zeros((HEIGHT, WIDTH), np.uint8)
    upright[2:6, 3:20] = 250
    upright[10:12, 1:4] = 120
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), "e.png", exif=exif)
    np.testing.assert_array_equal(decode.read_image(path, channels=1)[..., 0], upright)


def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
    png = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(png, "PNG")
    wrong = bytearray(png.getvalue())
    wrong[len(wrong) // 2] ^= 0xFF
    contents = {
        "text.jpg": b"not a picture", "empty.png": b"", "cut.jpg": file.getvalue()[:1500], "header.jpg": file.getvalue()[:20],
        "cut.png": png.getvalue()[:3000], "header.png": png.getvalue()[:20], "wrong.png": bytes(wrong),
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for path in [*(tmp_path / name for name in contents), tmp_path / "absent.png", tmp_path]:
        assert_refused(functools.partial(decode.read_image, path), str(path))


def test_awkward_files(data_folder: Path) -> None:
    folder = data_folder / "awkward"
    for name, facts in json.loads((folder / "awkward.json").read_text()).items():
        if facts.get("decodes") is False or not facts.get("opens", True) or facts.get("size") == [20000, 20000]:
            assert_refused(functools.partial(decode.read_image, folder / name), name)
            continue
        width, height = facts.get("shown_size") or facts["size"]
        for channels in (1, 3):
            assert decode.read_image(folder / name, channels=channels).shape == (height, width, channels), name
        x0, y0, x1, y1 = facts.get("box_shown") or facts.get("box") or facts["box_first_frame"]
        pixels = decode.read_image(folder / name).astype(float)
        inside = pixels[y0 + 8 : y1 - 7, x0 + 8 : x1 - 7].reshape(-1, 3)
        beside = np.concatenate(
            [pixels[y0 : y1 + 1, x0 - 20 : x0 - 4].reshape(-1, 3), pixels[y1 + 5 : y1 + 15, x0 : x1 + 1].reshape(-1, 3)]
        )
        apart = np.abs(inside.mean(axis=0) - beside.mean(axis=0)).max()
        assert apart > 20, f"{name}: the object is not where awkward.json says"


def test_resize_keeps_places_and_returns_the_same_where_nothing_changes() -> None:
    image = scene()
    assert decode.resize(image, HEIGHT, WIDTH) is image
    larger = decode.resize(image, 4 * HEIGHT, 3 * WIDTH)
    assert larger.shape == (4 * HEIGHT, 3 * WIDTH, 3)
    assert larger.dtype == np.uint8
    found = np.array(bright_box(larger, 130)) / [3, 4, 3, 4]
    np.testing.assert_allclose(found, BOX, atol=0.5)
    grey = decode.resize(image[..., :1], 8, 12)
    assert grey.shape == (8, 12, 1)
    np.testing.assert_allclose(grey[..., 0], image[..., 0].reshape(8, 2, 12, 2).mean(axis=(1, 3)), atol=60)
    fine = np.zeros((64, 64, 1), np.uint8)
    fine[::2] = 200
    np.testing.assert_allclose(decode.resize(fine, 16, 16), 100, atol=16)  # no aliasing


def test_channels() -> None:
    image = scene()
    assert decode.with_channels(image, 3) is image
    grey = decode.with_channels(image, 1)
    assert grey.shape == (HEIGHT, WIDTH, 1)
    np.testing.assert_allclose(grey[..., 0], image @ np.array([0.299, 0.587, 0.114]), atol=1)  # ITU-R BT.601
    np.testing.assert_array_equal(decode.with_channels(grey, 3), np.repeat(grey, 3, axis=2))
