"""Boxes on pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from imgloc.boxes import to_pixels
from imgloc.types import Uint8Array

THUMBNAIL = 224  # pixels of the longer side of a picture in the gallery
TRUE_COLOR, PREDICTED_COLOR = (0, 158, 115), (213, 94, 0)  # Okabe and Ito's green and vermilion: apart for every eye


def draw_box(picture: Image.Image, box: Sequence[float], color: tuple[int, int, int], caption: str = "", *, thinnest: int = 1) -> None:
    """Outline a box (xyxy in [0, 1]) on an RGB picture, in place, with a caption above or below it, inside the picture.

    The line takes 1/250 of the picture's larger side, and at least `thinnest` pixels.
    """
    pen = ImageDraw.Draw(picture)
    x0, y0, x1, y1 = (float(edge) for edge in to_pixels(np.asarray(box, np.float64), *picture.size))
    line = max(thinnest, round(max(picture.size) / 250))
    pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=color, width=line)
    if caption:
        size = max(10, max(picture.size) // 24)
        left, top, right, bottom = (float(edge) for edge in pen.textbbox((0, 0), caption, font_size=size))
        pad = max(1, size // 6)
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        x = max(0.0, min(x0, picture.width - width))
        # Above the box, else below it, else in it.
        y = y0 - height if y0 >= height else y1 if y1 + height <= picture.height else y0
        pen.rectangle((x, y, x + width, y + height), fill=color)
        # On whole pixels: from a broken place above the picture Pillow cuts letters off.
        pen.text((round(x + pad - left), round(y + pad - top)), caption, fill=(255, 255, 255), font_size=size)


def enlarged(picture: Image.Image, smallest_side: int = 320) -> Image.Image:
    """A picture whose larger side is at least `smallest_side`: pixels of small ones are repeated."""
    factor = -(-smallest_side // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST) if factor > 1 else picture


def to_picture(image_hxwxc: Uint8Array) -> Image.Image:
    """An RGB picture of pixels (h, w, 1 or 3)."""
    pixels = image_hxwxc[..., 0] if image_hxwxc.shape[2] == 1 else image_hxwxc
    return Image.fromarray(pixels).convert("RGB")


def thumbnail(image_hxwxc: Uint8Array) -> bytes:
    """Pixels (h, w, 1 or 3) as PNG, no side longer than THUMBNAIL."""
    content = io.BytesIO()
    picture = to_picture(image_hxwxc)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))  # a smaller one is left as it is
    picture.save(content, "PNG")
    return content.getvalue()
