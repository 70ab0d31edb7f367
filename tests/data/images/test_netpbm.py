"""Headers of PPM files."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.data.images import decode, netpbm
from tests.refusals import assert_refused


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_what_pillow_writes_passes_and_the_file_stays_at_its_beginning(mode: str) -> None:
    content = io.BytesIO()
    Image.new(mode, (200, 300)).save(content, "PPM")
    content.seek(0)
    netpbm.check_header(content)
    assert content.tell() == 0


@pytest.mark.parametrize("content", [b"", b"P", b"not an image" * 1000, b"\x89PNG" + bytes(10_000), b"P6\n# short\n2 1\n255\n" + bytes(6)])
def test_other_files_pass(content: bytes) -> None:
    netpbm.check_header(io.BytesIO(content))


def test_a_long_comment_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6\n#" + b"x" * 10**7 + b"\n2 1\n255\n" + bytes(6))
    start = time.monotonic()
    assert_refused(lambda: decode.read_picture(path), "a.ppm", "header")
    assert_refused(lambda: decode.decode_image(path.read_bytes()), "header")
    assert time.monotonic() - start < 2
    path.write_bytes(b"P6\n# a comment\n2 1\n255\n" + bytes([1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(decode.read_picture(path).pixels_hxwxc, np.arange(1, 7).reshape(1, 2, 3))


def test_an_enormous_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(2**36)  # sparse
    start = time.monotonic()
    assert_refused(lambda: decode.read_picture(path), "a.jpg", "bytes; at most")
    assert time.monotonic() - start < 2
