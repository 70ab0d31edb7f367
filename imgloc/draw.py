"""Drawing boxes on images, thumbnails, and images of maps."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from imgloc.boxes import to_pixels
from imgloc.interfaces import Detection
from imgloc.types import FloatArray

THUMBNAIL = 224  # pixels of the longer side of an image in the gallery
BRIGHTEST = 0.99  # quantile of the values that a picture of maps shows as white: a few extreme ones would make all others dark
TRUE_COLOR, PREDICTED_COLOR = (0, 158, 115), (213, 94, 0)  # green and vermilion of Okabe and Ito, distinct to color-blind readers


def draw_box(picture: Image.Image, box: Sequence[float], color: tuple[int, int, int], caption: str = "", *, thinnest: int = 1) -> None:
    """Draw the outline of a box (xyxy in [0, 1]) on an RGB picture in place, and its caption above, below or inside the box.

    The line is 1/250 of the longer side of the picture wide, and at least `thinnest` pixels. A thin white line around it keeps it
    visible on a background of its color.
    """
    pen = ImageDraw.Draw(picture)
    x0, y0, x1, y1 = (float(edge) for edge in to_pixels(np.asarray(box, np.float64), *picture.size))
    line = max(thinnest, round(max(picture.size) / 250))
    halo = max(1, line // 2)
    pen.rectangle((x0 - halo, y0 - halo, max(x0, x1 - 1) + halo, max(y0, y1 - 1) + halo), outline=(255, 255, 255), width=halo)
    pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=color, width=line)
    if caption:
        size = max(10, max(picture.size) // 24)
        left, top, right, bottom = (float(edge) for edge in pen.textbbox((0, 0), caption, font_size=size))
        pad = max(1, size // 6)
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        x = max(0.0, min(x0, picture.width - width))
        y = y0 - height if y0 >= height else y1 if y1 + height <= picture.height else y0
        pen.rectangle((x, y, x + width, y + height), fill=color)
        # Rounded: at a fractional position above the picture Pillow cuts off letters.
        pen.text((round(x + pad - left), round(y + pad - top)), caption, fill=(255, 255, 255), font_size=size)


def draw_detections(picture: Image.Image, detections: Sequence[Detection], classes: Sequence[str]) -> None:
    """Draw predicted boxes on an RGB picture in place, each with its class and probability."""
    for detection in detections:
        draw_box(picture, detection.box, PREDICTED_COLOR, f"{classes[detection.label]} {detection.score:.0%}")


def to_picture(image_hxwxc: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    """Return an RGB picture of a gray or RGB image."""
    pixels = image_hxwxc[..., 0] if image_hxwxc.shape[2] == 1 else image_hxwxc
    return Image.fromarray(pixels).convert("RGB")


def thumbnail_png(image_hxwxc: UInt8[np.ndarray, "h w c"]) -> bytes:
    """Return a gray or RGB image as PNG, with no side longer than THUMBNAIL pixels."""
    content = io.BytesIO()
    picture = to_picture(image_hxwxc)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))  # only ever reduces
    picture.save(content, "PNG")
    return content.getvalue()


def scaled(picture: Image.Image, side: int) -> Image.Image:
    """Return the picture with its longer side `side` pixels long."""
    scale = side / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS)


def show_pixels(maps_hxwxk: FloatArray) -> FloatArray:
    """Return an image (h, w, 1 or 3) of maps in [0, 1]: in color of three maps, else of their mean. Other values are clipped."""
    maps = np.clip(np.asarray(maps_hxwxk, np.float32), 0, 1)
    return maps if maps.shape[2] == 3 else maps.mean(axis=2, keepdims=True)


def show_range(maps_hxwxk: FloatArray) -> FloatArray:
    """Return an image of maps of any range: black for the lowest value, white for the 99th percentile and above."""
    maps = np.asarray(maps_hxwxk, np.float32)
    low, high = float(maps.min()), float(np.quantile(maps, BRIGHTEST))
    high = high if high > low else float(maps.max())
    return show_pixels((maps - low) / (high - low or 1.0))


def show_signed(maps_hxwxk: FloatArray) -> FloatArray:
    """Return an image of maps around 0: gray for 0, white or black for the 99th percentile of magnitudes and above."""
    maps = np.asarray(maps_hxwxk, np.float32)
    scale = float(np.quantile(np.abs(maps), BRIGHTEST)) or float(np.abs(maps).max()) or 1.0
    return show_pixels(0.5 + 0.5 * maps / scale)
