"""A sheet of images with their score maps as heat maps, one row for each image and one column for each method."""

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
from imgloc.types import FloatArray, Uint8Array

CELL, GAP, LINE, TITLE = 224, 10, 18, 24  # pixels
PAPER, INK = (253, 253, 252), (29, 31, 35)
OPACITY = 0.55  # of a heat map over its image
COLORS = "viridis"  # of matplotlib: perceptually uniform, and distinct to color-blind readers
MARK = "imgloc explain"  # in the metadata of our PNG files, which may be overwritten


class HeatMap(NamedTuple):
    """A score map over an image, with a box and the title of its column."""

    title: str
    map_hxw: FloatArray  # in [0, 1], of any size
    box: Sequence[float] | None = None  # xyxy in [0, 1]


class SheetRow(NamedTuple):
    """An image with its caption and its score maps."""

    picture_hxwxc: Uint8Array
    caption: str
    maps: Sequence[HeatMap]


def check_out(out: Path) -> None:
    """Raises UserError if `out` is not the name of a PNG file, or is one that imgloc did not write."""
    if out.suffix.lower() != ".png" or out.is_dir():
        raise UserError(f"--out '{out}' is not the name of a PNG file; expected a name that ends in .png")
    files.check_replaceable(out, MARK.encode(), "--out")
    files.check_writable(out.parent)


def write_sheet(rows: Sequence[SheetRow], out: Path) -> None:
    """Writes the sheet of rows, which have the same methods, as PNG."""
    check_out(out)
    _write_marked(sheet(rows), out)


def write_heat_map(picture: Image.Image, shown: HeatMap, out: Path) -> None:
    """Writes an RGB picture under a score map, with its box, at its own size as PNG."""
    blended = overlay(picture, shown.map_hxw)
    if shown.box is not None:
        draw.draw_box(blended, shown.box, draw.PREDICTED_COLOR, thinnest=2)
    _write_marked(blended, out)


def _write_marked(picture: Image.Image, out: Path) -> None:
    content, info = io.BytesIO(), PngInfo()
    info.add_text("Software", MARK)
    picture.save(content, "PNG", pnginfo=info)
    files.write_bytes(out, content.getvalue())


def sheet(rows: Sequence[SheetRow]) -> Image.Image:
    """The sheet as a picture."""
    columns = 1 + len(rows[0].maps)
    cells = [
        [draw.scaled(draw.to_picture(row.picture_hxwxc), CELL), *(_overlay(row.picture_hxwxc, each) for each in row.maps)] for row in rows
    ]
    heights = [line[0].height for line in cells]
    page = Image.new("RGB", (columns * (CELL + GAP) + GAP, GAP + TITLE + sum(heights) + len(rows) * (LINE + GAP)), PAPER)
    pen = ImageDraw.Draw(page)
    for column, each in enumerate(rows[0].maps, start=1):
        pen.text((GAP + column * (CELL + GAP), GAP), each.title, fill=INK, font_size=15)
    y = GAP + TITLE
    for row, line, height in zip(rows, cells, heights, strict=True):
        for column, cell in enumerate(line):
            page.paste(cell, (GAP + column * (CELL + GAP), y))
        pen.text((GAP, y + height + 2), row.caption, fill=INK, font_size=13)
        y += height + LINE + GAP
    return page


def overlay(picture: Image.Image, map_hxw: FloatArray) -> Image.Image:
    """An RGB picture under the colors of a map in [0, 1], enlarged bilinearly to its size."""
    from matplotlib import colormaps

    levels = Image.fromarray(np.asarray(map_hxw, np.float32)).resize(picture.size, Image.Resampling.BILINEAR)
    colors = (colormaps[COLORS](np.asarray(levels))[..., :3] * 255).round().astype(np.uint8)
    return Image.blend(picture, Image.fromarray(colors), OPACITY)


def _overlay(picture_hxwxc: Uint8Array, each: HeatMap) -> Image.Image:
    picture = overlay(draw.scaled(draw.to_picture(picture_hxwxc), CELL), each.map_hxw)
    if each.box is not None:
        draw.draw_box(picture, each.box, draw.PREDICTED_COLOR, thinnest=2)
    return picture
