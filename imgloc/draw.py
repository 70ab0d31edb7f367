"""Boxes on pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from imgloc.boxes import to_pixels
from imgloc.types import Uint8Array

TRUE_COLOR, PREDICTED_COLOR = (0, 158, 115), (213, 94, 0)  # Okabe and Ito's green and vermilion: apart for every eye


def draw_box(picture: Image.Image, box: Sequence[float], color: tuple[int, int, int], caption: str = "") -> None:
    """Outline a box (xyxy in [0, 1]) on an RGB picture, in place, with a caption at its upper left corner."""
    pen = ImageDraw.Draw(picture)
    x0, y0, x1, y1 = (float(edge) for edge in to_pixels(np.asarray(box, np.float64), *picture.size))
    width = max(1, round(max(picture.size) / 250))
    pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=color, width=width)
    if caption:
        size = max(10, max(picture.size) // 40)
        left, top, right, bottom = pen.textbbox((x0, y0), caption, font_size=size)
        lift = bottom - top + 4 if y0 > bottom - top + 4 else 0
        pen.rectangle((left - 1, top - lift - 1, right + 1, bottom - lift + 1), fill=color)
        pen.text((x0, y0 - lift), caption, fill=(255, 255, 255), font_size=size)


def to_picture(image_hxwxc: Uint8Array) -> Image.Image:
    """An RGB picture of pixels (h, w, 1 or 3)."""
    pixels = image_hxwxc[..., 0] if image_hxwxc.shape[2] == 1 else image_hxwxc
    return Image.fromarray(pixels).convert("RGB")
