"""The size and orientation of image files, by their first bytes."""

from __future__ import annotations

from pathlib import Path

from imgloc.data import decode
from imgloc.data.decode import Picture
from imgloc.errors import UnreadableImage, UserError

FIRST = 2**16  # bytes: nearly every header is shorter


def read_file_header(root: Path, name: str) -> Picture:
    """What a file's header says, as a Picture of no pixels. Raises UnreadableImage where there is no header of an image."""
    try:
        with (root / name).open("rb") as file:
            content = file.read(FIRST)
            try:
                return decode.read_header(content)
            except UserError:  # some have it behind the pixels
                if len(content) < FIRST:
                    raise
                return decode.read_header(content + file.read())
    except OSError as error:
        raise UnreadableImage(f"{name}: {error.strerror}") from error
    except UserError as error:
        raise UnreadableImage(f"{name}: {error}") from error
