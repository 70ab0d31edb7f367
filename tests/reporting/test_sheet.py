"""The sheet of examples: whole, self-contained, and nothing written over that is not ours."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from imgloc.reporting.sheet import CELL, write_sheet
from imgloc.types import Example
from tests.refusals import assert_refused

CLASSES = ("cat", "<b>dog</b>")
GREEN = (0, 158, 115)


def examples() -> list[Example]:
    image = np.full((100, 200, 3), 90, np.uint8)
    boxes = np.array([[0.25, 0.1, 0.75, 0.9], [0, 0, 0.1, 0.2]], np.float32)
    grey = np.full((600, 500, 1), 10, np.uint8)
    return [
        Example(image, boxes, np.array([0, 1]), 0, "a/<one>.jpg", "one"),
        Example(grey, boxes[:0], np.zeros(0, np.int32), 1, "two", "two"),
    ]


def test_the_page_holds_every_picture_box_and_name_and_loads_nothing(tmp_path: Path) -> None:
    write_sheet(examples(), CLASSES, tmp_path / "sheet.html", title="ph & otos", note="drawn")
    page = (tmp_path / "sheet.html").read_text()
    assert "ph &amp; otos" in page
    assert "a/&lt;one&gt;.jpg" in page
    assert "<b>" not in page
    assert re.findall(r'class="box" style="([^"]*)"><span>([^<]*)<', page) == [
        ("left: 25.0%; top: 10.0%; width: 50.0%; height: 80.0%", "cat"),
        ("left: 0.0%; top: 0.0%; width: 10.0%; height: 20.0%", "&lt;b&gt;dog&lt;/b&gt;"),
    ]
    pictures = [Image.open(io.BytesIO(base64.b64decode(text))) for text in re.findall(r'src="data:image/\w+;base64,([^"]*)"', page)]
    assert [picture.size for picture in pictures] == [(200, 100), (267, 320)]
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in page.replace("http-equiv", "")
    write_sheet(examples(), CLASSES, tmp_path / "again.html", title="ph & otos", note="drawn")
    assert (tmp_path / "again.html").read_text() == page


def test_the_picture_shows_the_boxes(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    write_sheet(examples(), CLASSES, out, title="photos", note="drawn")
    with Image.open(out) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    green = np.argwhere((pixels == GREEN).all(axis=2))
    grey = np.argwhere((pixels == 90).all(axis=2))
    assert len(green) > 300
    top, left = grey.min(axis=0)
    right_line = left + round(0.75 * CELL) - 1
    middle = top + (grey.max(axis=0)[0] - top) // 2
    assert tuple(pixels[middle, right_line]) == GREEN
    assert tuple(pixels[middle, right_line + 4]) == (90, 90, 90)
    write_sheet(examples(), CLASSES, out, title="photos", note="again")  # its own may be written anew


def test_nothing_of_somebody_elses_is_written_over(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (9, 9)).save(photo)
    before = photo.read_bytes()
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    for out in (photo, text):
        assert_refused(lambda out=out: write_sheet(examples(), CLASSES, out, title="", note=""), "imgloc did not write")
    for out in (tmp_path, tmp_path / "sheet.jpg"):
        assert_refused(lambda out=out: write_sheet(examples(), CLASSES, out, title="", note=""), "ends in .html or .png")
    assert photo.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.png", "photo.png"]
