"""From a file to pixels: upright, RGB or grey, uint8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from imgloc.errors import UserError
from imgloc.types import Uint8Array


def read_image(path: Path, *, channels: int = 3) -> Uint8Array:
    """Pixels (h, w, channels) of an image file, turned the way its EXIF tag says; channels 3 (RGB) or 1 (grey).

    Raises UserError with the reason where the file cannot be read.
    """
    if not path.is_file():
        raise UserError(f"no such image file: {path}")
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            return to_array(upright, channels=channels)
    except UnidentifiedImageError:
        raise UserError(f"not an image that can be read: {path}") from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def to_array(image: Image.Image, *, channels: int) -> Uint8Array:
    """A Pillow image as (h, w, channels) uint8; transparent parts are laid on black, 16 bits scaled to 8."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no agreed range")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def resize(image_hxwxc: Uint8Array, height: int, width: int) -> Uint8Array:
    """Resized to (height, width, c), antialiased bilinear; boxes in [0, 1] stay as they are."""
    if image_hxwxc.shape[:2] == (height, width):
        return image_hxwxc
    channels = image_hxwxc.shape[2]
    picture = Image.fromarray(image_hxwxc[..., 0] if channels == 1 else image_hxwxc)
    resized = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return resized.reshape(height, width, channels)


def with_channels(image_hxwxc: Uint8Array, channels: int) -> Uint8Array:
    """An RGB or grey image (h, w, 3 or 1) with the wanted number of channels."""
    if image_hxwxc.shape[2] == channels:
        return image_hxwxc
    return to_array(Image.fromarray(image_hxwxc[..., 0] if channels == 3 else image_hxwxc), channels=channels)
