"""A sheet of the results of operations on images: each image, and the picture of each operation, with their names."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from imgloc import draw, files
from imgloc.errors import UserError
from imgloc.types import FloatArray

COLUMNS, GAP, LINE = 5, 10, 18  # pictures in a row; pixels
PAPER, INK = (253, 253, 252), (29, 31, 35)
MARK = "imgloc show-features"  # in the metadata of our PNG files, which may be overwritten


class Picture(NamedTuple):
    """A picture with its title."""

    title: str
    image_hxwxc: FloatArray  # in [0, 1], 1 or 3 channels


def check_out(out: Path) -> None:
    """Raises UserError if `out` is not the name of a PNG file, or is one that imgloc did not write."""
    if out.suffix.lower() != ".png" or out.is_dir():
        raise UserError(f"--out '{out}' is not the name of a PNG file; expected a name that ends in .png")
    files.check_replaceable(out, MARK.encode(), "--out")
    files.check_writable(out.parent)


def write_sheet(images: Sequence[Sequence[Picture]], out: Path, side: int) -> None:
    """Writes the pictures of each image as PNG, the longer side of each `side` pixels long."""
    check_out(out)
    content, info = io.BytesIO(), PngInfo()
    info.add_text("Software", MARK)
    sheet(images, side).save(content, "PNG", pnginfo=info, optimize=True)
    files.write_bytes(out, content.getvalue())


def sheet(images: Sequence[Sequence[Picture]], side: int) -> Image.Image:
    """The sheet as a picture: the pictures of an image in rows of at most COLUMNS."""
    rows = [pictures[start : start + COLUMNS] for pictures in images for start in range(0, len(pictures), COLUMNS)]
    cells = [[draw.scaled(_as_picture(each.image_hxwxc), side) for each in row] for row in rows]
    heights = [max(cell.height for cell in line) for line in cells]
    width = max(len(row) for row in rows) * (side + GAP) + GAP
    page = Image.new("RGB", (width, GAP + sum(heights) + len(rows) * (LINE + GAP)), PAPER)
    pen, y = ImageDraw.Draw(page), GAP
    for row, line, height in zip(rows, cells, heights, strict=True):
        for column, (each, cell) in enumerate(zip(row, line, strict=True)):
            x = GAP + column * (side + GAP)
            pen.text((x, y), _shortened(pen, each.title, side), fill=INK, font_size=13)
            page.paste(cell, (x, y + LINE))
        y += LINE + height + GAP
    return page


def _as_picture(image_hxwxc: FloatArray) -> Image.Image:
    return draw.to_picture((np.clip(image_hxwxc, 0, 1) * 255).round().astype(np.uint8))


def _shortened(pen: ImageDraw.ImageDraw, text: str, width: int) -> str:
    while len(text) > 4 and pen.textlength(text, font_size=13) > width:
        text = text.removesuffix("...")[:-1] + "..."
    return text
