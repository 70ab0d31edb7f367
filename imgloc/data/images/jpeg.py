"""Decoding of RGB and grey JPEGs with simplejpeg (libjpeg-turbo).

The pixels equal Pillow's, which also uses libjpeg-turbo. A JPEG of 64 pixels takes about half of Pillow's time, one of 500 pixels
85 %. `python -m benchmarks read` compares it with Pillow and OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import simplejpeg
from jaxtyping import UInt8

from imgloc.errors import UserError, one_line

#: Warnings of libjpeg for files that have all their pixels: extra bytes after the image, or unknown metadata.
HARMLESS = ("before marker 0xd9", "Unknown Adobe color transform", "Invalid SOS parameters", "inconsistent progression")
SCAN = b"\xff\xda"  # the marker at the start of each scan; it cannot occur inside compressed data
MAX_SCAN_PIXELS = 2**30  # scans times pixels: a scan of a hundred bytes still costs a pass over all pixels
_ORIENTATION_TAGS = (b"Exif\0\0", b"tiff:Orientation")


def size(content: bytes) -> tuple[int, int] | None:
    """Returns (height, width) of a JPEG that `decode` supports, RGB or grey; None for other content."""
    if content[:3] != b"\xff\xd8\xff":
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    return (int(height), int(width)) if space in ("YCbCr", "Gray") and height and width else None


def may_be_rotated(content: bytes) -> bool:
    """Returns whether a segment before a JPEG's pixels may contain an orientation; also True if the segments are damaged."""
    start = 2
    while content[start : start + 1] == b"\xff" and len(content) >= start + 4:
        marker, length = content[start + 1], int.from_bytes(content[start + 2 : start + 4])
        if marker == 0xE1 and any(tag in content[start + 4 : start + 2 + length] for tag in _ORIENTATION_TAGS):
            return True
        if marker == SCAN[1]:
            return False
        start += 2 + length
    return True


def check_scans(chunks: Iterable[bytes], pixels: int) -> None:
    """Raises UserError for a JPEG, given in chunks, with so many scans that decoding would take minutes."""
    scans = sum(chunk.count(SCAN) for chunk in chunks)
    if scans * pixels > MAX_SCAN_PIXELS:
        raise UserError(f"it has {scans:,} scans of {pixels:,} pixels, which no encoder writes; it is not decoded")


def scale_for(height: int, width: int, at_least: tuple[int, int]) -> int:
    """Returns the largest of 8, 4 and 2 by which an image can be reduced to no less than `at_least` (height, width); else 1."""
    return next((s for s in (8, 4, 2) if -(-height // s) >= at_least[0] and -(-width // s) >= at_least[1]), 1)


def decode(content: bytes, *, scale: int = 1) -> UInt8[np.ndarray, "h w 3"] | None:
    """Returns RGB pixels, also of a grey file; the sides are divided by `scale` (1, 2, 4 or 8) and rounded up.

    Returns None if this decoder fails where another may succeed. Raises UserError if a part of the image is missing.
    """
    full_size = size(content)
    if full_size is None:
        return None
    expected = [-(-side // scale) for side in full_size] if scale > 1 else [0, 0]
    try:
        pixels = simplejpeg.decode_jpeg(content, "RGB", min_height=expected[0], min_width=expected[1], min_factor=scale)
    except ValueError as error:
        message = one_line(error)
        if "Premature end" in message or ("Corrupt JPEG data" in message and not any(text in message for text in HARMLESS)):
            raise UserError(f"it is damaged ({message})") from error
        return None
    return pixels if scale == 1 or list(pixels.shape[:2]) == expected else None
