"""Decoding of images of every mode and orientation, and of damaged and oversized files."""

from __future__ import annotations

import functools
import io
import json
import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from imgloc.data.images import decode, headers
from imgloc.errors import UnreadableImage, UserError
from tests.png import png
from tests.refusals import assert_refused

WIDTH, HEIGHT = 24, 16
BOX = (4, 2, 14, 8)  # x0, y0, x1, y1 of the bright object, the last pixel not included


def scene() -> np.ndarray:
    """Returns a red object on a dark background, RGB."""
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
def test_every_mode_gives_uint8_with_the_requested_channels(mode: str, channels: int, tmp_path: Path) -> None:
    name = {"CMYK": "a.tif", "YCbCr": "a.jpg"}.get(mode, "a.png")
    options = {"quality": 100} if mode == "YCbCr" else {}
    path = saved(tmp_path, Image.fromarray(scene()).convert(mode), name, **options)
    pixels = decode.read_image(path, channels=channels)
    assert pixels.shape == (HEIGHT, WIDTH, channels)
    assert pixels.dtype == np.uint8
    if mode != "1":  # one bit is dithered
        inside, outside = pixels[5, 8].astype(int), pixels[12, 20].astype(int)
        tolerance = 40 if mode in ("P", "YCbCr") else 3  # the web palette and JPEG are coarse
        expected = np.array([240, 60, 30]) if channels == 3 and mode in ("RGB", "RGBA", "P", "CMYK", "YCbCr") else 110
        np.testing.assert_allclose(inside, expected, atol=tolerance)
        np.testing.assert_allclose(outside, 20, atol=tolerance)


def test_lossless_pixels_are_unchanged(tmp_path: Path) -> None:
    np.testing.assert_array_equal(decode.read_image(saved(tmp_path, Image.fromarray(scene()), "a.png")), scene())
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(decode.read_image(saved(tmp_path, Image.fromarray(grey), "g.png"), channels=1)[..., 0], grey)
    np.testing.assert_array_equal(decode.read_image(tmp_path / "g.png", channels=3), np.repeat(grey[..., None], 3, axis=2))


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    deep = (np.arange(256, dtype=np.uint16).reshape(16, 16) * 257).astype(np.uint16)
    pixels = decode.read_image(saved(tmp_path, Image.fromarray(deep), "deep.png"), channels=1)
    np.testing.assert_array_equal(pixels[..., 0], np.arange(256).reshape(16, 16))


def test_floats_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)), "f.tif")
    with pytest.raises(UserError, match="mode F"):
        decode.read_image(path)


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    rgba = np.dstack([scene(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[5, 8, 3], rgba[6, 8, 3] = 0, 128
    pixels = decode.read_image(saved(tmp_path, Image.fromarray(rgba), "t.png"))
    assert pixels[5, 8].tolist() == [0, 0, 0]
    assert pixels[5, 9].tolist() == [240, 60, 30]
    np.testing.assert_allclose(pixels[6, 8], np.array([240, 60, 30]) / 2, atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(orientation: int, tmp_path: Path) -> None:
    """Images stored as a camera stores them are decoded upright."""
    upright = np.zeros((HEIGHT, WIDTH), np.uint8)
    upright[2:6, 3:20] = 250
    upright[10:12, 1:4] = 120
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("e.png", "e.tif", "e.jpg"):  # Pillow applies the orientation of TIFFs itself
        path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), name, exif=exif)
        picture = decode.read_picture(path, channels=1)
        header = headers.read_file_header(tmp_path, name)
        assert (header.width, header.height, header.orientation) == (picture.width, picture.height, picture.orientation)
        if name == "e.jpg":
            continue
        np.testing.assert_array_equal(picture.pixels_hxwxc[..., 0], upright)
        assert (picture.height, picture.width, picture.orientation, picture.scale) == (*stored.shape, orientation, 1)
        x0, y0, x1, y1 = (round(edge) for edge in picture.stored_box(np.array([3.0, 2, 20, 6])))
        assert stored[y0:y1, x0:x1].min() == 250
        assert (stored == 250).sum() == (x1 - x0) * (y1 - y0)
        np.testing.assert_array_equal(picture.upright_box(np.array([3.0, 2, 20, 6])), [3, 2, 20, 6])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's
def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(scene()), "e.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    picture = decode.read_picture(path)
    assert picture.orientation == 1
    assert picture.pixels_hxwxc.shape == (HEIGHT, WIDTH, 3)


def test_cmyk_is_inverted_in_jpegs_and_not_in_tiffs(tmp_path: Path) -> None:
    cmyk = Image.fromarray(scene()).convert("CMYK")
    jpeg = saved(tmp_path, cmyk, "a.jpg", quality=100, subsampling=0)
    assert b"Adobe" in jpeg.read_bytes()
    unmarked = bytearray(jpeg.read_bytes())
    start = unmarked.index(b"\xff\xee")
    del unmarked[start : start + 2 + int.from_bytes(unmarked[start + 2 : start + 4], "big")]
    (tmp_path / "unmarked.jpg").write_bytes(unmarked)
    expected = decode.read_image(saved(tmp_path, cmyk, "a.tif"))
    np.testing.assert_allclose(expected, scene(), atol=1)
    for path in (jpeg, tmp_path / "unmarked.jpg"):
        np.testing.assert_allclose(decode.read_image(path), expected.astype(float), atol=12)


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(scene(), 3 * i, axis=1)) for i in range(4)]
    for name in ("a.gif", "a.webp", "a.png"):
        path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], duration=100)
        with Image.open(path) as image:
            assert image.n_frames == 4
        assert bright_box(decode.read_image(path), 130) == BOX, name


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.jpg", "RGB", {"quality": 95}), ("a.jpg", "CMYK", {"quality": 95}), ("p.jpg", "L", {"quality": 95, "progressive": True}),
        ("a.png", "RGBA", {}), ("a.png", "1", {}), ("a.png", "P", {}), ("a.png", "I;16", {}), ("a.gif", "P", {}),
        ("a.webp", "RGB", {"lossless": True}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("orientation", [1, 6])
def test_large_pictures_are_reduced_and_boxes_refer_to_the_file(
    name: str, mode: str, options: dict[str, Any], orientation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """211 x 130 pixels with a limit of 1,900, above Pillow's own limit: 4 is the smallest sufficient factor."""
    monkeypatch.setattr(decode, "MAX_PIXELS", 1_900)
    monkeypatch.setattr(decode, "_STRIP_PIXELS", 211 * 9)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    grey = np.full((130, 211), 20, np.uint8)
    grey[24:72, 32:144] = 230
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    if name != "a.gif":
        options = {**options, "exif": Image.Exif()}
        options["exif"][0x0112] = orientation
    picture = decode.read_picture(saved(tmp_path, image, name, **options), channels=3)
    assert Image.MAX_IMAGE_PIXELS == 100
    assert (picture.width, picture.height, picture.scale) == (211, 130, 4)
    assert picture.orientation == (1 if name == "a.gif" else orientation)
    assert picture.pixels_hxwxc.shape == ((33, 53, 3) if picture.orientation == 1 else (53, 33, 3))
    np.testing.assert_allclose(picture.stored_box(np.array(bright_box(picture.pixels_hxwxc, 125), float)), [32, 24, 144, 72], atol=0.5)
    whole = np.array([0.0, 0, *picture.pixels_hxwxc.shape[1::-1]])
    np.testing.assert_array_equal(picture.stored_box(whole), [0, 0, 211, 130])
    np.testing.assert_array_equal(picture.upright_box(whole), [0, 0, 211, 130] if picture.orientation == 1 else [0, 0, 130, 211])


def test_images_that_need_too_much_memory_are_refused_before_decoding(tmp_path: Path) -> None:
    sizes = {
        "rgb": (20_000, 20_000, 8, 2, "1,526 MiB"), "grey": (60_000, 60_000, 1, 0, "3,433 MiB"),
        "long": (200_000, 2, 8, 0, "131,072 pixels"),
    }  # fmt: skip
    for name, (width, height, bits, color, message) in sizes.items():
        (tmp_path / name).write_bytes(png(width, height, bits=bits, color=color))
        assert_refused(
            functools.partial(decode.read_image, tmp_path / name), name, f"{width:,} x {height:,}", message, "the limit is 768 MiB"
        )


def test_progressive_jpegs_hold_all_coefficients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image is reduced, but all coefficients stay in memory."""
    monkeypatch.setattr(decode, "MAX_PIXELS", 100)
    monkeypatch.setattr(decode, "MAX_DECODE_BYTES", 2_000)
    plain, progressive = (saved(tmp_path, Image.fromarray(scene()), f"{p}.jpg", progressive=p) for p in (False, True))
    assert decode.read_picture(plain).scale > 1
    assert_refused(functools.partial(decode.read_image, progressive), "too large")


def test_files_that_are_not_images_are_refused_in_one_line(tmp_path: Path) -> None:
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
    os.mkfifo(tmp_path / "pipe.png")
    others = {"absent.png": "no such", "pipe.png": "not a regular file", ".": "is a folder", "empty.png": "0 bytes", "n" * 300: "too long"}
    for name in {**contents, **others}:
        assert_refused(functools.partial(decode.read_image, tmp_path / name), str(tmp_path / name), others.get(name, ""))


def test_damage_gives_pixels_or_one_line(tmp_path: Path) -> None:
    """Random bytes in files of every format give pixels or an error of one line."""
    random = np.random.default_rng(0)
    messages = []
    for name in ("a.jpg", "a.png", "a.gif", "a.webp", "a.tif", "a.bmp", "a.ppm", "a.jp2", "a.tga", "a.qoi"):
        content = saved(tmp_path, Image.fromarray(scene()), name).read_bytes()
        for _ in range(12):
            damaged = bytearray(content[: random.integers(len(content) // 2, len(content) + 1)])
            for place in random.integers(len(damaged), size=4):
                damaged[place] = random.integers(256)
            (tmp_path / name).write_bytes(damaged)
            try:
                assert decode.read_image(tmp_path / name).dtype == np.uint8
            except UserError as error:
                messages.append(str(error))
    assert len(messages) > 20
    assert not [line for line in messages if len(line.splitlines()) != 1]


def test_a_jpeg_with_too_many_scans_is_refused(tmp_path: Path) -> None:
    for mode in ("L", "CMYK"):  # by simplejpeg, by Pillow
        file = io.BytesIO()
        Image.new(mode, (2000, 2000)).save(file, "JPEG", progressive=True)
        content = file.getvalue()
        assert decode.decode_image(content).width == 2000
        last = content.rindex(b"\xff\xda")
        many = content[:last] + content[last:-2] * 300 + content[-2:]
        (tmp_path / "a.jpg").write_bytes(many)
        assert_refused(functools.partial(decode.decode_image, many), "scans")
        assert_refused(functools.partial(decode.read_image, tmp_path / "a.jpg"), "scans")


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "LARGE_DECODE_BYTES", 100)
    busy, most = [], []

    def slowly(image: Image.Image, *, channels: int) -> np.ndarray:
        busy.append(image)
        most.append(len(busy))
        time.sleep(0.01)
        busy.pop()
        return np.zeros((HEIGHT, WIDTH, channels), np.uint8)

    monkeypatch.setattr(decode, "to_array", slowly)
    content = png(WIDTH, HEIGHT, bits=8, color=0, rows=zlib.compress(b"\0" * (WIDTH + 1) * HEIGHT))
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(decode.decode_image, [content] * 8))) == 8
    assert set(most) == {1}


def test_only_regular_files_below_the_size_limit_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "a.jpg").write_bytes(b"123456")
    assert (headers.read_file(tmp_path, "a.jpg"), headers.read_file(tmp_path, "a.jpg", 4)) == (b"123456", b"1234")
    os.truncate(tmp_path / "a.jpg", headers.MAX_BYTES + 1)
    (tmp_path / "folder.jpg").mkdir()
    for name, why in (
        ("pipe.jpg", "not a regular file"),
        ("folder.jpg", "not a regular file"),
        ("a.jpg", "bytes"),
        ("b.jpg", "No such file"),
    ):
        for read in (headers.read_file, headers.read_file_header):
            with pytest.raises(UnreadableImage, match=f"^{name}: .*{why}"):
                read(tmp_path, name)


def test_awkward_files(data_folder: Path) -> None:
    folder = data_folder / "awkward"
    for name, facts in json.loads((folder / "awkward.json").read_text()).items():
        if facts.get("decodes") is False or not facts.get("opens", True):
            assert_refused(functools.partial(decode.read_image, folder / name), name)
            continue
        width, height = facts.get("shown_size") or facts["size"]
        picture = decode.read_picture(folder / name)
        assert [picture.width, picture.height] == (facts.get("stored_size") or facts["size"])
        assert picture.scale == (4 if width == 20_000 else 1)
        width, height = width // picture.scale, height // picture.scale
        for channels in (1, 3):
            assert decode.read_image(folder / name, channels=channels).shape == (height, width, channels), name
        x0, y0, x1, y1 = (edge // picture.scale for edge in facts.get("box_shown") or facts.get("box") or facts["box_first_frame"])
        pixels = picture.pixels_hxwxc.astype(np.float32)
        inside = pixels[y0 + 8 : y1 - 7, x0 + 8 : x1 - 7].reshape(-1, 3)
        beside = np.concatenate(
            [pixels[y0 : y1 + 1, x0 - 20 : x0 - 4].reshape(-1, 3), pixels[y1 + 5 : y1 + 15, x0 : x1 + 1].reshape(-1, 3)]
        )
        apart = np.abs(inside.mean(axis=0) - beside.mean(axis=0)).max()
        assert apart > 20, f"{name}: the object is not where awkward.json says"


def test_channels() -> None:
    image = scene()
    assert decode.with_channels(image, 3) is image
    grey = decode.with_channels(image, 1)
    assert grey.shape == (HEIGHT, WIDTH, 1)
    np.testing.assert_allclose(grey[..., 0], image @ np.array([0.299, 0.587, 0.114]), atol=1)  # ITU-R BT.601
    np.testing.assert_array_equal(decode.with_channels(grey, 3), np.repeat(grey, 3, axis=2))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_opacity_is_decoded_upright_and_its_pixels_are_not_composited(orientation: int) -> None:
    pixels = np.zeros((6, 9, 4), np.uint8)
    pixels[:2, :3] = (200, 100, 50, 128)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue()))))
    color, alpha = decode.decode_with_alpha(file.getvalue())
    np.testing.assert_array_equal(np.dstack([color, alpha]), expected)
    assert_refused(lambda: decode.decode_with_alpha(file.getvalue()[:-40]), "damaged")


def test_opacity_of_an_image_without_transparency_is_full() -> None:
    file = io.BytesIO()
    Image.new("L", (4, 3), 77).save(file, "PNG")
    color, alpha = decode.decode_with_alpha(file.getvalue())
    assert (color == 77).all()
    assert (alpha == 255).all()
    assert alpha.shape == (3, 4)
