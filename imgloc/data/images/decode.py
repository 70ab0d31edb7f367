"""From a file to pixels: upright, RGB or grey, uint8; within a bounded amount of memory.

Turned as the EXIF orientation says. Of an animation the first frame. Transparent parts are laid on black.
16 bits are scaled to 8 over their whole range, 0 to 65535. CMYK JPEGs are taken as inverted, as Adobe writes
them and browsers read them, and turned to RGB without a colour profile.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from imgloc.data.images import jpeg
from imgloc.errors import UserError, one_line
from imgloc.types import FloatArray, Uint8Array

LARGEST = 2**25  # pixels; larger pictures are read reduced by a whole number
MOST_BYTES = 768 * 2**20  # that decoding may take; with a model loaded a process then stays under 2 GiB
LONGEST = 2**17  # pixels of a side
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "DIB", "PPM", "MPO", "JPEG2000", "AVIF", "ICO", "TGA", "QOI")
# Bytes of a pixel in Pillow's memory; those of three or four bands take four.
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_STRIP = 2**22  # pixels that are converted at a time
_PILLOW = threading.Lock()
LARGE = 2**27  # bytes that decoding takes, from which on one image is decoded at a time
_LARGE = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """Pixels as they are to be looked at, and where they lie in the file they came from."""

    pixels_hxwxc: Uint8Array  # upright
    width: int  # of the file as stored: before its orientation is applied, not reduced
    height: int
    orientation: int = 1  # EXIF's, 1 (upright as stored) to 8
    scale: int = 1  # sides in pixels of the file that one of these stands for

    def stored_box(self, box: FloatArray) -> FloatArray:
        """A box (4,), xyxy in pixels of `pixels_hxwxc`, in those of the file as it is stored."""
        box = np.asarray(box, np.float64)
        if self.orientation >= 5:
            box = box[[1, 0, 3, 2]]
        # Turned back before it is enlarged: the last pixel of a reduced row may stand for fewer of the file's.
        box = self._mirrored(box, -(-self.width // self.scale), -(-self.height // self.scale)) * self.scale
        return np.minimum(box, [self.width, self.height] * 2)

    def upright_box(self, box: FloatArray) -> FloatArray:
        """A box (4,), xyxy in pixels of `pixels_hxwxc`, in those of the file at full size as viewers show it."""
        box = self._mirrored(self.stored_box(box), self.width, self.height)
        return box[[1, 0, 3, 2]] if self.orientation >= 5 else box

    def _mirrored(self, box: FloatArray, width: int, height: int) -> FloatArray:
        x0, y0, x1, y1 = box
        if self.orientation in (2, 3, 7, 8):
            x0, x1 = width - x1, width - x0
        if self.orientation in (3, 4, 6, 7):
            y0, y1 = height - y1, height - y0
        return np.array([x0, y0, x1, y1])


def read_image(path: Path, *, channels: int = 3) -> Uint8Array:
    """The upright pixels (h, w, channels) of an image file; see `read_picture`."""
    return read_picture(path, channels=channels).pixels_hxwxc


def read_picture(path: Path, *, channels: int = 3) -> Picture:
    """An image file as pixels of 3 channels (RGB) or 1 (grey), reduced where it has more than LARGEST.

    Raises UserError, one line, with the reason where the file cannot be read or would take too much memory.
    """
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is no ordinary file" if path.exists() else ""
            raise UserError(f"cannot read {path}: it {what}" if what else f"no such image file: {path}")
        if path.stat().st_size == 0:
            raise UserError(f"cannot read {path}: the file is empty (0 bytes)")
        # Opened here: from a path Pillow maps uncompressed files into memory, and garbles TIFFs that are to be turned.
        with path.open("rb") as file:
            with _without_pillows_limit():
                image = Image.open(file, formats=_formats())
            with image:
                return _decoded(image, channels)
    except UnidentifiedImageError:
        raise UserError(f"not an image that can be read: {path}; possible: {', '.join(_formats())}") from None
    except UserError as error:
        raise (error if str(path) in str(error) else UserError(f"cannot read {path}: {error}")) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or one_line(error)[:200]}") from error
    except Exception as error:  # Pillow raises whatever its readers of damaged files raise
        raise UserError(f"cannot read {path}: it is damaged ({one_line(error)[:200] or type(error).__name__})") from error


def decode_image(content: bytes, *, channels: int = 3, turn: bool = True, at_least: tuple[int, int] | None = None) -> Picture:
    """An encoded image as pixels of 3 channels (RGB) or 1 (grey); `turn` it as its EXIF orientation says.

    Where `at_least` (height, width, of the upright picture) is given the image may be decoded at a smaller scale, no side below
    these unless it is stored so. Raises UserError with the reason where it cannot be decoded whole: never part of a picture.
    """
    try:
        quick = _quickly(content, channels, turn, at_least)
        if quick is not None:
            return quick
        with _without_pillows_limit():
            image = Image.open(io.BytesIO(content), formats=_formats())
        with image:
            return _decoded(image, channels, turn)
    except UnidentifiedImageError:
        raise UserError("not an image that can be read" if content else "the file is empty (0 bytes)") from None
    except UserError:
        raise
    except Exception as error:  # Pillow raises whatever its readers of damaged files raise
        raise UserError(f"it is damaged ({one_line(error)[:200] or type(error).__name__})") from error


def read_header(content: bytes) -> Picture:
    """Size and orientation of an encoded image, by its first bytes: a Picture of no pixels.

    Whether the pixels can be decoded it cannot tell. Raises UserError where there is no header of an image.
    """
    nothing = np.zeros((0, 0, 3), np.uint8)
    try:
        size = jpeg.size(content)
        if size is not None and not jpeg.may_be_turned(content):
            return Picture(nothing, size[1], size[0])
        with _without_pillows_limit():
            image = Image.open(io.BytesIO(content), formats=_formats())
        with image:
            turned = _orientation(image)
            width, height = image.size[::-1] if image.format == "TIFF" and turned >= 5 else image.size
            return Picture(nothing, width, height, turned)
    except UnidentifiedImageError:
        raise UserError("not an image that can be read" if content else "the file is empty (0 bytes)") from None
    except Exception as error:  # Pillow raises whatever its readers of damaged files raise
        raise UserError(f"it is damaged ({one_line(error)[:200] or type(error).__name__})") from error


def _quickly(content: bytes, channels: int, turn: bool, at_least: tuple[int, int] | None) -> Picture | None:
    """A picture by `imgloc.data.images.jpeg`, whose pixels are Pillow's; None for what it does not take."""
    size = jpeg.size(content)
    if size is None or size[0] * size[1] > LARGEST:
        return None
    jpeg.check_scans([content], size[0] * size[1])
    orientation = 1
    if turn and jpeg.may_be_turned(content):
        with Image.open(io.BytesIO(content), formats=("JPEG", "MPO")) as image:
            orientation = _orientation(image)
    if at_least is not None and orientation >= 5:
        at_least = (at_least[1], at_least[0])
    scale = 1 if at_least is None else jpeg.scale_for(*size, at_least)
    pixels = jpeg.decode(content, scale=scale)
    if pixels is None:
        return None
    return Picture(with_channels(_turned(pixels, orientation), channels), size[1], size[0], orientation, scale)


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of FORMATS that this Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextlib.contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Pillow's own limit on pixels, which warns and then refuses, off: ours is on memory."""
    with _PILLOW:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decoded(image: Image.Image, channels: int, turn: bool = True) -> Picture:
    width, height = image.size
    if not min(width, height):
        raise UserError(f"it has no pixels ({width} x {height})")
    wanted = _reduction(width, height)
    if wanted > 1 and image.format in ("JPEG", "MPO"):  # the decoder itself gives 1/2, 1/4 or 1/8
        image.draft(None, (max(1, width // wanted), max(1, height // wanted)))
    needed = _check_memory(image, width, height)
    drafted = next(s for s in (1, 2, 4, 8) if image.size == (-(-width // s), -(-height // s)))
    scale = _reduction(*image.size)
    turned = _orientation(image) if image.format == "TIFF" else 1  # always, by Pillow, which says the size it has then
    with _LARGE if needed > LARGE else contextlib.nullcontext(), _without_pillows_limit() if wanted > 1 else contextlib.nullcontext():
        image.load()
        pixels = _reduced(image, scale, channels) if scale > 1 else to_array(image, channels=channels)
    width, height = (height, width) if turned >= 5 else (width, height)
    orientation = _orientation(image) if turn and turned == 1 else 1  # after loading: some have it behind the pixels
    return Picture(_turned(pixels, orientation), width, height, max(orientation, turned), drafted * scale)


def _check_memory(image: Image.Image, width: int, height: int) -> int:
    """Refuse before anything is decoded what would take more than MOST_BYTES, or too long; width and height: of the file.

    Gives the bytes that it takes.
    """
    held = _PIXEL_BYTES.get(image.mode, 4)
    if image.format in ("JPEG", "MPO"):
        needed = image.width * image.height * held
        if image.info.get("progressive"):  # all coefficients, 16 bits each, are held until the last scan
            needed += width * height * 2 * len(image.getbands())
        place = image.fp.tell()  # type: ignore[attr-defined]
        image.fp.seek(0)  # type: ignore[attr-defined]
        jpeg.check_scans(iter(lambda: image.fp.read(2**20), b""), width * height)  # type: ignore[attr-defined]
        image.fp.seek(place)  # type: ignore[attr-defined]
    elif image.format in ("PNG", "GIF", "BMP", "DIB", "PPM", "TGA"):
        needed = width * height * held
    else:  # libraries that decode the whole into buffers of their own
        needed = width * height * (16 if image.format != "TIFF" else 2 * held)
    if needed > MOST_BYTES or max(width, height) > LONGEST:
        raise UserError(
            f"it is too large: {width:,} x {height:,} pixels ({image.format}, {image.mode}) need {needed / 2**20:,.0f} MiB to decode; "
            f"the limit is {MOST_BYTES / 2**20:,.0f} MiB and {LONGEST:,} pixels a side"
        )
    return needed


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none, or none that can be read."""
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF beside sound pixels
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _reduction(width: int, height: int) -> int:
    """The smallest whole number that brings a picture to at most LARGEST pixels."""
    factor = math.isqrt(max(1, width * height // LARGEST))
    while -(-width // factor) * -(-height // factor) > LARGEST:
        factor += 1
    return factor


def _reduced(image: Image.Image, factor: int, channels: int) -> Uint8Array:
    """Means over squares of `factor` pixels, a strip of the loaded image at a time."""
    width, height = image.size
    rows = max(factor, _STRIP // width // factor * factor)
    strips = []
    for top in range(0, height, rows):
        strip = to_array(image.crop((0, top, width, min(height, top + rows))), channels=channels)
        reduced = np.asarray(Image.fromarray(strip[..., 0] if channels == 1 else strip).reduce(factor))
        strips.append(reduced.reshape(*reduced.shape[:2], channels))
    return np.concatenate(strips)


def _turned(pixels_hxwxc: Uint8Array, orientation: int) -> Uint8Array:
    """Stored pixels as EXIF's orientation wants them shown."""
    if orientation in (2, 3, 7, 8):
        pixels_hxwxc = pixels_hxwxc[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels_hxwxc = pixels_hxwxc[::-1]
    if orientation >= 5:
        pixels_hxwxc = pixels_hxwxc.swapaxes(0, 1)
    return np.ascontiguousarray(pixels_hxwxc)


def to_array(image: Image.Image, *, channels: int) -> Uint8Array:
    """A Pillow image as (h, w, channels) uint8; transparent parts are laid on black, 16 bits scaled to 8.

    Raises UserError for pixels that have no agreed range (modes I and F).
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):  # 16 bits, by Pillow's reader of PPM
        deep = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((np.minimum(deep, 65535) + 128) // 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise UserError(f"pixels of mode {image.mode} have no agreed range")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def with_channels(image_hxwxc: Uint8Array, channels: int) -> Uint8Array:
    """An RGB or grey image (h, w, 3 or 1) with the wanted number of channels."""
    if image_hxwxc.shape[2] == channels:
        return image_hxwxc
    return to_array(Image.fromarray(image_hxwxc[..., 0] if channels == 3 else image_hxwxc), channels=channels)
