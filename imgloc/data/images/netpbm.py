"""The header of a PBM, PGM, PPM or PFM file, which Pillow reads byte by byte: one with a long comment would take seconds."""

from __future__ import annotations

import io
import re

from imgloc.errors import UserError

MAX_HEADER = 4096  # bytes; the numbers of a header end within the first hundred
_MAGIC = re.compile(rb"P[1-6Ff]\s")
_COMMENT = re.compile(rb"#[^\n\r]*")


def check_header(file: io.BytesIO | io.BufferedReader) -> None:
    """Raises UserError for a file whose header does not end within MAX_HEADER bytes; other formats pass. The file is at its beginning."""
    beginning = file.read(MAX_HEADER)
    file.seek(0)
    if not _MAGIC.match(beginning):
        return
    needed = 3 if beginning[1:2] in b"14" else 4  # the magic number, width, height, and the highest value
    if len(beginning) == MAX_HEADER and len(_COMMENT.sub(b" ", beginning).split(maxsplit=needed)) < needed:
        raise UserError(f"its header has more than {MAX_HEADER:,} bytes")
