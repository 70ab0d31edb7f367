"""Decoding of image files to upright pixels, RGB or grey, uint8, within a bounded amount of memory.

The EXIF orientation is applied. Of an animation the first frame is decoded. Transparent parts are composited on black. 16 bits
are scaled to 8 over their whole range, 0 to 65535. CMYK JPEGs are read as inverted, which is how Adobe writes them and browsers
read them, and converted to RGB without a colour profile.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from imgloc.data.images import jpeg, netpbm
from imgloc.data.images.picture import Picture
from imgloc.errors import UserError, one_line
from imgloc.types import Uint8Array

MAX_BYTES = 2**28  # of an image file
MAX_PIXELS = 2**25  # larger pictures are reduced by an integer factor
MAX_DECODE_BYTES = 768 * 2**20  # with a model loaded, a process then stays below 2 GiB
MAX_SIDE = 2**17  # pixels
# ICO is not supported: Pillow decodes the pixels of an icon when it opens the file, before their number can be checked.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "DIB", "PPM", "MPO", "JPEG2000", "AVIF", "TGA", "QOI")
# Bytes of a pixel in Pillow's memory, by mode; modes with three or four bands need four.
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_STRIP_PIXELS = 2**22  # converted at a time
_PILLOW_LOCK = threading.Lock()
LARGE_DECODE_BYTES = 2**27  # images that need more are decoded one at a time
_LARGE_LOCK = threading.Lock()


def read_image(path: Path, *, channels: int = 3) -> UInt8[np.ndarray, "h w c"]:
    """Returns the upright pixels of an image file; see `read_picture`."""
    return read_picture(path, channels=channels).pixels_hxwxc


def read_picture(path: Path, *, channels: int = 3) -> Picture:
    """Reads an image file as pixels of 3 channels (RGB) or 1 (grey), reduced if it has more than MAX_PIXELS.

    Raises UserError, with the reason in one line, if the file cannot be read or would need too much memory.
    """
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not a regular file" if path.exists() else ""
            raise UserError(f"cannot read {path}: it {what}" if what else f"no such image file: {path}")
        size = path.stat().st_size
        if size == 0:
            raise UserError(f"cannot read {path}: the file is empty (0 bytes)")
        if size > MAX_BYTES:
            raise UserError(f"cannot read {path}: it has {size:,} bytes; at most {MAX_BYTES:,} are read")
        # Pillow gets a file, not a path: it would map uncompressed files into memory, and garble TIFFs with an orientation.
        with path.open("rb") as file, _open(file) as image:
            return _decode_with_pillow(image, channels)
    except UnidentifiedImageError:
        raise UserError(f"not an image in a supported format: {path}; possible: {', '.join(_formats())}") from None
    except UserError as error:
        raise (error if str(path) in str(error) else UserError(f"cannot read {path}: {error}")) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or one_line(error)[:200]}") from error
    except Exception as error:  # Pillow raises errors of many types for damaged files
        raise UserError(f"cannot read {path}: it is damaged ({one_line(error)[:200] or type(error).__name__})") from error


def decode_image(content: bytes, *, channels: int = 3, turn: bool = True, at_least: tuple[int, int] | None = None) -> Picture:
    """Decodes an image to pixels of 3 channels (RGB) or 1 (grey); `turn` applies the EXIF orientation.

    If `at_least` (height, width of the upright picture) is given, the image may be decoded at a smaller scale, with no side
    below these unless it is stored smaller. Raises UserError with the reason if any part of the image cannot be decoded.
    """
    with _one_line_errors(content):
        picture = _decode_jpeg(content, channels, turn, at_least)
        if picture is not None:
            return picture
        with _open(io.BytesIO(content)) as image:
            return _decode_with_pillow(image, channels, turn)


def decode_with_alpha(content: bytes) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """Decodes an image to upright RGB pixels, not composited, and their opacity. Raises UserError as `decode_image` does."""
    with _one_line_errors(content), _open(io.BytesIO(content)) as image:
        _check_memory(image, *image.size)
        orientation = 1 if image.format == "TIFF" else _orientation(image)  # Pillow applies a TIFF's itself
        pixels = _apply_orientation(np.asarray(image.convert("RGBA")), orientation)
        return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])


def read_header(content: bytes) -> Picture:
    """Returns size and orientation of an encoded image, from its first bytes, as a Picture without pixels.

    The pixels may still be damaged. Raises UserError if there is no image header.
    """
    no_pixels = np.zeros((0, 0, 3), np.uint8)
    with _one_line_errors(content):
        size = jpeg.size(content)
        if size is not None and not jpeg.may_be_rotated(content):
            return Picture(no_pixels, size[1], size[0])
        with _open(io.BytesIO(content)) as image:
            orientation = _orientation(image)
            width, height = image.size[::-1] if image.format == "TIFF" and orientation >= 5 else image.size
            return Picture(no_pixels, width, height, orientation)


@contextlib.contextmanager
def _one_line_errors(content: bytes) -> Iterator[None]:
    """Raises errors of decoding `content` as UserError."""
    try:
        yield
    except UnidentifiedImageError:
        raise UserError("not an image in a supported format" if content else "the file is empty (0 bytes)") from None
    except UserError:
        raise
    except Exception as error:  # Pillow raises errors of many types for damaged files
        raise UserError(f"it is damaged ({one_line(error)[:200] or type(error).__name__})") from error


def _open(file: io.BytesIO | io.BufferedReader) -> Image.Image:
    with _no_pixel_limit():
        netpbm.check_header(file)
        return Image.open(file, formats=_formats())


def _decode_jpeg(content: bytes, channels: int, turn: bool, at_least: tuple[int, int] | None) -> Picture | None:
    """Decodes with `imgloc.data.images.jpeg`, whose pixels equal Pillow's; returns None for content it does not support."""
    size = jpeg.size(content)
    if size is None or size[0] * size[1] > MAX_PIXELS:
        return None
    jpeg.check_scans([content], size[0] * size[1])
    orientation = 1
    if turn and jpeg.may_be_rotated(content):
        with Image.open(io.BytesIO(content), formats=("JPEG", "MPO")) as image:
            orientation = _orientation(image)
    if at_least is not None and orientation >= 5:
        at_least = (at_least[1], at_least[0])
    scale = 1 if at_least is None else jpeg.scale_for(*size, at_least)
    pixels = jpeg.decode(content, scale=scale)
    if pixels is None:
        return None
    return Picture(with_channels(_apply_orientation(pixels, orientation), channels), size[1], size[0], orientation, scale)


@functools.cache
def _formats() -> tuple[str, ...]:
    """Returns the FORMATS that the installed Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextlib.contextmanager
def _no_pixel_limit() -> Iterator[None]:
    """Disables Pillow's limit on pixels, which warns and then raises: `_check_memory` limits memory instead."""
    with _PILLOW_LOCK:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decode_with_pillow(image: Image.Image, channels: int, turn: bool = True) -> Picture:
    width, height = image.size
    if not min(width, height):
        raise UserError(f"it has no pixels ({width} x {height})")
    factor = _reduction(width, height)
    if factor > 1 and image.format in ("JPEG", "MPO"):  # the decoder itself can reduce by 2, 4 or 8
        image.draft(None, (max(1, width // factor), max(1, height // factor)))
    needed = _check_memory(image, width, height)
    draft_scale = next(s for s in (1, 2, 4, 8) if image.size == (-(-width // s), -(-height // s)))
    scale = _reduction(*image.size)
    # Pillow always applies a TIFF's orientation itself, and then reports the rotated size.
    tiff_orientation = _orientation(image) if image.format == "TIFF" else 1
    one_at_a_time = _LARGE_LOCK if needed > LARGE_DECODE_BYTES else contextlib.nullcontext()
    with one_at_a_time, _no_pixel_limit() if factor > 1 else contextlib.nullcontext():
        image.load()
        pixels = _reduce(image, scale, channels) if scale > 1 else to_array(image, channels=channels)
    width, height = (height, width) if tiff_orientation >= 5 else (width, height)
    orientation = _orientation(image) if turn and tiff_orientation == 1 else 1  # after loading: it may follow the pixels
    return Picture(_apply_orientation(pixels, orientation), width, height, max(orientation, tiff_orientation), draft_scale * scale)


def _check_memory(image: Image.Image, width: int, height: int) -> int:
    """Returns the bytes that decoding needs. Raises UserError, before decoding, if these or the number of scans are too large.

    `width` and `height` are those of the file; `image` may be a reduced draft.
    """
    pixel_bytes = _PIXEL_BYTES.get(image.mode, 4)
    if image.format in ("JPEG", "MPO"):
        needed = image.width * image.height * pixel_bytes
        if image.info.get("progressive"):  # all coefficients, 16 bits each, stay in memory until the last scan
            needed += width * height * 2 * len(image.getbands())
        position = image.fp.tell()  # type: ignore[attr-defined]
        image.fp.seek(0)  # type: ignore[attr-defined]
        jpeg.check_scans(iter(lambda: image.fp.read(2**20), b""), width * height)  # type: ignore[attr-defined]
        image.fp.seek(position)  # type: ignore[attr-defined]
    elif image.format in ("PNG", "GIF", "BMP", "DIB", "PPM", "TGA"):
        needed = width * height * pixel_bytes
    else:  # libraries that decode the whole image into their own buffers
        needed = width * height * (16 if image.format != "TIFF" else 2 * pixel_bytes)
    if needed > MAX_DECODE_BYTES or max(width, height) > MAX_SIDE:
        raise UserError(
            f"it is too large: {width:,} x {height:,} pixels ({image.format}, {image.mode}) need {needed / 2**20:,.0f} MiB to decode; "
            f"the limit is {MAX_DECODE_BYTES / 2**20:,.0f} MiB and {MAX_SIDE:,} pixels a side"
        )
    return needed


def _orientation(image: Image.Image) -> int:
    """Returns EXIF's orientation, 1 to 8; 1 if it is missing or invalid."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # the EXIF data may be damaged although the pixels are not
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _reduction(width: int, height: int) -> int:
    """Returns the smallest integer factor that reduces a picture to at most MAX_PIXELS."""
    factor = math.isqrt(max(1, width * height // MAX_PIXELS))
    while -(-width // factor) * -(-height // factor) > MAX_PIXELS:
        factor += 1
    return factor


def _reduce(image: Image.Image, factor: int, channels: int) -> Uint8Array:
    """Returns means over squares of `factor` x `factor` pixels, computed strip by strip."""
    width, height = image.size
    rows = max(factor, _STRIP_PIXELS // width // factor * factor)
    strips = []
    for top in range(0, height, rows):
        strip = to_array(image.crop((0, top, width, min(height, top + rows))), channels=channels)
        reduced = np.asarray(Image.fromarray(strip[..., 0] if channels == 1 else strip).reduce(factor))
        strips.append(reduced.reshape(*reduced.shape[:2], channels))
    return np.concatenate(strips)


def _apply_orientation(pixels_hxwxc: Uint8Array, orientation: int) -> Uint8Array:
    """Returns stored pixels upright, by their EXIF orientation."""
    if orientation in (2, 3, 7, 8):
        pixels_hxwxc = pixels_hxwxc[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels_hxwxc = pixels_hxwxc[::-1]
    if orientation >= 5:
        pixels_hxwxc = pixels_hxwxc.swapaxes(0, 1)
    return np.ascontiguousarray(pixels_hxwxc)


def picture_of(image: Image.Image, *, channels: int) -> Picture:
    """Returns a Pillow image, turned by its EXIF orientation, as `read_picture` returns a file."""
    orientation = _orientation(image)
    return Picture(_apply_orientation(to_array(image, channels=channels), orientation), *image.size, orientation)


def to_array(image: Image.Image, *, channels: int) -> UInt8[np.ndarray, "h w c"]:
    """Returns the pixels of a Pillow image; transparent parts are composited on black, 16 bits scaled to 8.

    Raises UserError for pixels without a standard range (modes I and F).
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):  # Pillow reads PPM files of 16 bits as mode I
        deep = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((np.minimum(deep, 65535) + 128) // 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise UserError(f"pixels of mode {image.mode} have no standard range")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def with_channels(image_hxwxc: Uint8Array, channels: int) -> UInt8[np.ndarray, "h w c"]:
    """Converts an RGB or grey image (h, w, 3 or 1) to 3 or 1 channels."""
    if image_hxwxc.shape[2] == channels:
        return image_hxwxc
    return to_array(Image.fromarray(image_hxwxc[..., 0] if channels == 3 else image_hxwxc), channels=channels)
