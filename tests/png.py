"""PNG files whose header says a size: enormous ones take next to nothing to write."""

from __future__ import annotations

import struct
import zlib


def png(width: int, height: int, *, bits: int, color: int, rows: bytes = b"") -> bytes:
    """Of a bit depth and colour type (0 grey, 2 RGB); `rows` are compressed already."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
