"""Film strips: the frames of a video below each other in one image, for the report."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from imgloc.draw import to_picture
from imgloc.types import Uint8Array

MAX_FRAMES = 60  # evenly spread over a longer video
SIDE = 160  # pixels: the longer side of a frame; 60 of them fit into a WebP image
PER_KIND = 2  # of the best, the median and the worst videos: those whose film strips are saved


def shown_frames(count: int) -> list[int]:
    """The numbers of the frames of a strip, for a video of `count` frames."""
    return [round(float(number)) for number in np.linspace(0, count - 1, min(count, MAX_FRAMES))]


def film_strip(frames_txhxwxc: Uint8Array) -> bytes:
    """The frames of a video as a WebP image, with no side of a frame longer than SIDE pixels."""
    pictures = []
    for number in shown_frames(len(frames_txhxwxc)):
        picture = to_picture(frames_txhxwxc[number])
        picture.thumbnail((SIDE, SIDE))  # only ever reduces
        pictures.append(picture)
    width, height = pictures[0].size
    strip = Image.new("RGB", (width, height * len(pictures)))
    for place, picture in enumerate(pictures):
        strip.paste(picture, (0, place * height))
    content = io.BytesIO()
    strip.save(content, "WEBP", quality=70)
    return content.getvalue()
