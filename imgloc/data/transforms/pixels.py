"""Images (h, w, 3 or 1) as Pillow's pictures, and back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from imgloc.types import Uint8Array


def to_picture(image_hxwxc: Uint8Array) -> Image.Image:
    """A picture of mode RGB (3 channels) or L (1 channel)."""
    return Image.fromarray(image_hxwxc[..., 0] if image_hxwxc.shape[2] == 1 else image_hxwxc)


def from_picture(picture: Image.Image) -> Uint8Array:
    """An image (h, w, 3 or 1), read-only, of a picture of mode RGB or L."""
    pixels = np.asarray(picture)
    return pixels.reshape(*pixels.shape[:2], -1)
