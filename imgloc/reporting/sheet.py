"""Contact sheets: images with their true boxes, as a self-contained web page or as one PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from imgloc import draw, files
from imgloc.errors import UserError
from imgloc.reporting.templates import render
from imgloc.types import Example

SIDE = 320  # pixels of the longer side of an image
SMALL = 160  # pixels: smaller images keep every pixel and are shown enlarged
COLUMNS, CELL, GAP, LINE = 6, 240, 12, 18  # pixels of a PNG, COLUMNS excepted
PAPER, INK, MUTED = (253, 253, 252), (29, 31, 35), (102, 106, 115)
MARK = "imgloc data show"  # in the metadata of our PNG files, which may be overwritten


@dataclass(frozen=True)
class Box:
    """A box in per cent of the image's sides, with the name of its class."""

    name: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Card:
    """An image as a data: URL, with its boxes and the text below it."""

    id: str
    picture: str
    small: bool
    ratio: str
    boxes: list[Box]
    label: str


def check_out(out: Path) -> None:
    """Raises UserError if `out` is not the name of a web page or a PNG, or is a PNG that imgloc did not write."""
    if out.suffix.lower() not in (".html", ".htm", ".png") or (out.exists() and not out.is_file()):
        reason = "is a folder" if out.is_dir() else "is not the name of a web page or a PNG"
        raise UserError(f"--out '{out}' {reason}; expected a file name that ends in .html or .png")
    if out.suffix.lower() == ".png":
        files.check_replaceable(out, MARK.encode(), "--out")
    files.check_writable(out.parent)


def write_sheet(examples: Sequence[Example], classes: Sequence[str], out: Path, *, title: str, note: str) -> None:
    """Write a web page (.html) or an image (.png) of examples with their boxes and class names."""
    check_out(out)
    if out.suffix.lower() != ".png":
        cards = [_card(example, classes) for example in examples]
        files.write_text(out, render("sheet.html.j2", cards=cards, title=title, note=note))
        return
    content, info = io.BytesIO(), PngInfo()
    info.add_text("Software", MARK)
    _contact_sheet(examples, classes, f"{title}: {note}").save(content, "PNG", pnginfo=info)
    files.write_bytes(out, content.getvalue())


def _card(example: Example, classes: Sequence[str]) -> Card:
    picture = draw.to_picture(example.image_hxwxc)
    small = max(picture.size) <= SMALL
    picture.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    kind = "PNG" if small else "JPEG"
    picture.save(content, kind, **({} if small else {"quality": 88}))
    boxes = [
        Box(classes[label], *(round(100 * share, 3) for share in (x0, y0, x1 - x0, y1 - y0)))
        for (x0, y0, x1, y1), label in zip(example.boxes_nx4.tolist(), example.labels_n.tolist(), strict=True)
    ]
    address = f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
    return Card(example.id, address, small, f"{picture.width} / {picture.height}", boxes, _label(example, classes))


def _contact_sheet(examples: Sequence[Example], classes: Sequence[str], title: str) -> Image.Image:
    columns = min(COLUMNS, max(1, len(examples)))
    pictures = [_draw_boxes(example, classes) for example in examples]
    rows = [range(start, min(start + columns, len(examples))) for start in range(0, len(examples), columns)]
    heights = [max(pictures[place].height for place in row) for row in rows]
    bottom = GAP + 2 * LINE + sum(heights) + len(rows) * (2 * LINE + GAP)
    sheet = Image.new("RGB", (max(560, columns * (CELL + GAP) + GAP), bottom), PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (GAP, GAP), title, sheet.width - 2 * GAP, INK, 14)
    y = GAP + 2 * LINE
    for row, height in zip(rows, heights, strict=True):
        for place in row:
            x, example = GAP + place % columns * (CELL + GAP), examples[place]
            sheet.paste(pictures[place], (x, y + height - pictures[place].height))
            _write(pen, (x, y + height + 2), _label(example, classes), CELL, INK, 13)
            _write(pen, (x, y + height + LINE), example.id, CELL, MUTED, 11)
        y += height + 2 * LINE + GAP
    return sheet


def _draw_boxes(example: Example, classes: Sequence[str]) -> Image.Image:
    """The image of an example with its boxes, its longer side CELL pixels."""
    picture = draw.to_picture(example.image_hxwxc)
    scale = CELL / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    for box, label in zip(example.boxes_nx4.tolist(), example.labels_n.tolist(), strict=True):
        draw.draw_box(picture, box, draw.TRUE_COLOR, classes[label], thinnest=2)
    return picture


def _label(example: Example, classes: Sequence[str]) -> str:
    return classes[example.label] if 0 <= example.label < len(classes) else "no class"


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int, color: tuple[int, int, int], size: int) -> None:
    """Write a text, shortened to a width."""
    while len(text) > 4 and pen.textlength(text, font_size=size) > width:
        text = text[:-4] + "..." if text.endswith("...") else text[:-3] + "..."
    pen.text(place, text, fill=color, font_size=size)
