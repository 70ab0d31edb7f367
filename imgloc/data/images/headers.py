"""Reading the image files of a data set's folder: whole contents, or size and orientation from the header."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from imgloc.data.images import decode, parquet_images
from imgloc.data.images.decode import MAX_BYTES
from imgloc.data.images.picture import Picture
from imgloc.errors import UnreadableImage, UserError

HEADER_BYTES = 2**16  # nearly all headers are shorter


def read_file(root: Path | str, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Returns an image file's content, or its first `max_bytes` bytes; also of an image in a Parquet file, see `parquet_images`.

    Raises UnreadableImage if the file cannot be read, is larger than MAX_BYTES, or is no longer a regular file.
    """
    container = parquet_images.container_of(name)
    if container != name and os.path.isfile(os.path.join(root, container)):
        return parquet_images.read_image(root, name, MAX_BYTES)[:max_bytes]
    try:
        handle = os.open(os.path.join(root, name), os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for a writer
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableImage(f"{name}: it is not a regular file")
            if status.st_size > MAX_BYTES:
                raise UnreadableImage(f"{name}: it has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
            size = min(max_bytes, status.st_size)
            content = os.read(handle, size)
            while len(content) < size and (more := os.read(handle, size - len(content))):
                content += more
            return content
        finally:
            os.close(handle)
    except OSError as error:
        raise UnreadableImage(f"{name}: {error.strerror}") from error


def read_file_header(root: Path, name: str) -> Picture:
    """Returns size and orientation of an image file as a Picture without pixels. Raises UnreadableImage if it has no image header."""
    content = read_file(root, name, HEADER_BYTES)
    try:
        try:
            return decode.read_header(content)
        except UserError:  # in some formats the header follows the pixels
            if len(content) < HEADER_BYTES:
                raise
            return decode.read_header(read_file(root, name))
    except UserError as error:
        raise UnreadableImage(f"{name}: {error}") from error
