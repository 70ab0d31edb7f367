"""The commonest images, by the quickest decoder: JPEGs of colour or grey through simplejpeg (libjpeg-turbo).

Its pixels are Pillow's to the last bit (both are libjpeg-turbo); a 64-pixel JPEG takes about half of Pillow's time,
one of 500 pixels 85 %. `python -m benchmarks read` measures it beside Pillow and OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterable

import simplejpeg

from imgloc.errors import UserError, one_line
from imgloc.types import Uint8Array

#: What libjpeg says of files whose pixels are all there: bytes behind the image, or metadata that it does not know.
HARMLESS = ("before marker 0xd9", "Unknown Adobe color transform", "Invalid SOS parameters", "inconsistent progression")
SCAN = b"\xff\xda"  # the marker behind which pixels, or part of them, begin; among them it cannot stand
MOST_WORK = 2**30  # scans times pixels: a hundred bytes are a scan, and each goes over all pixels
_TURNED = (b"Exif\0\0", b"tiff:Orientation")


def size(content: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG that `decode` takes: colour or grey; None for everything else."""
    if content[:3] != b"\xff\xd8\xff":
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    return (int(height), int(width)) if space in ("YCbCr", "Gray") and height and width else None


def may_be_turned(content: bytes) -> bool:
    """Whether the segments before a JPEG's pixels hold something that may say an orientation; True too where they cannot be followed."""
    place = 2
    while content[place : place + 1] == b"\xff" and len(content) >= place + 4:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if marker == 0xE1 and any(mark in content[place + 4 : place + 2 + length] for mark in _TURNED):
            return True
        if marker == SCAN[1]:
            return False
        place += 2 + length
    return True


def check_scans(parts: Iterable[bytes], pixels: int) -> None:
    """Refuse a file, given in parts, that would take minutes to decode by going over its pixels again and again. Raises UserError."""
    scans = sum(part.count(SCAN) for part in parts)
    if scans * pixels > MOST_WORK:
        raise UserError(f"it goes over {pixels:,} pixels in {scans:,} scans, which no encoder does; it is not decoded")


def scale_for(height: int, width: int, at_least: tuple[int, int]) -> int:
    """8, 4 or 2 where an image reduced by that is not below `at_least` (height, width); else 1."""
    return next((s for s in (8, 4, 2) if -(-height // s) >= at_least[0] and -(-width // s) >= at_least[1]), 1)


def decode(content: bytes, *, scale: int = 1) -> Uint8Array | None:
    """RGB pixels (h, w, 3), also of a grey file; sides divided by `scale` (1, 2, 4, 8) and rounded up.

    None where this decoder has a complaint that another may not share. Raises UserError where part of the image is missing.
    """
    found = size(content)
    if found is None:
        return None
    wanted = [-(-side // scale) for side in found] if scale > 1 else [0, 0]
    try:
        pixels: Uint8Array = simplejpeg.decode_jpeg(content, "RGB", min_height=wanted[0], min_width=wanted[1], min_factor=scale)
    except ValueError as error:
        message = one_line(error)
        if "Premature end" in message or ("Corrupt JPEG data" in message and not any(text in message for text in HARMLESS)):
            raise UserError(f"it is damaged ({message})") from error
        return None
    return pixels if scale == 1 or list(pixels.shape[:2]) == wanted else None
