"""The image files of a data set's folder: their bytes, and their size and orientation by the first of them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from imgloc.data.images import decode
from imgloc.data.images.decode import Picture
from imgloc.errors import UnreadableImage, UserError

FIRST = 2**16  # bytes: nearly every header is shorter
LARGEST = 2**28  # bytes of an image file


def read_file(root: Path | str, name: str, most: int = LARGEST) -> bytes:
    """An image file's content, or its first `most` bytes.

    Raises UnreadableImage where it cannot be read, is larger than LARGEST, or has become something else than a file since it was listed.
    """
    try:
        handle = os.open(os.path.join(root, name), os.O_RDONLY | os.O_NONBLOCK)  # of a pipe the opening would wait for a writer
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableImage(f"{name}: it is no ordinary file")
            if status.st_size > LARGEST:
                raise UnreadableImage(f"{name}: it has {status.st_size:,} bytes; at most {LARGEST:,} are read")
            content = os.read(handle, min(most, status.st_size))
            while len(content) < min(most, status.st_size) and (more := os.read(handle, min(most, status.st_size) - len(content))):
                content += more
            return content
        finally:
            os.close(handle)
    except OSError as error:
        raise UnreadableImage(f"{name}: {error.strerror}") from error


def read_file_header(root: Path, name: str) -> Picture:
    """What a file's header says, as a Picture of no pixels. Raises UnreadableImage where there is no header of an image."""
    content = read_file(root, name, FIRST)
    try:
        try:
            return decode.read_header(content)
        except UserError:  # some have it behind the pixels
            if len(content) < FIRST:
                raise
            return decode.read_header(read_file(root, name))
    except UserError as error:
        raise UnreadableImage(f"{name}: {error}") from error
