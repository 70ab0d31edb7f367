"""The images of the best, median and worst examples with their true and predicted boxes."""

from __future__ import annotations

import base64
import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from imgloc.evaluation import scoring
from imgloc.interfaces import Card, Overlay
from imgloc.reporting.heat_maps import overlay
from imgloc.reporting.load import RunReport
from imgloc.types import Row

SMALL = 200  # pixels: smaller images are enlarged without smoothing
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Rectangle:
    """A box in [0, 1] of the image; `kind` is true or predicted."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Example:
    """One example of the gallery."""

    id: str
    picture: str | None  # a data: URL; None if there is no image file
    small: bool
    ratio: str  # the CSS aspect-ratio of the image
    boxes: list[Rectangle]
    card: Card
    alt: str
    heat_map: str | None  # a data: URL of the image under its score map; None without one
    heat_map_alt: str


def gallery(report: RunReport) -> dict[str, list[Example]]:
    """The best, median and worst examples, `eval.gallery` of each."""
    chosen = scoring.gallery_rows(report.model.rows, report.task, report.config.eval.gallery)
    return {name: [_example_with_map(report, row) for row in rows] for name, rows in chosen.items()}


def _example_with_map(report: RunReport, row: Row) -> Example:
    name = str(row["id"])
    return gallery_example(report, row, report.run.thumbnail(report.split, name), report.run.score_map(report.split, name))


def gallery_example(report: RunReport, row: Row, path: Path, map_path: Path | None = None) -> Example:
    """The example of one row, with the PNG images of it and of its score map at these paths if they can be read."""
    content = _read_png(path)
    width, height = struct.unpack(">II", content[16:24]) if content else (1, 1)
    card = report.task.card(row, report.class_name)
    heat_map = _heat_map(content, _read_png(map_path)) if content and map_path else None
    return Example(
        id=str(row["id"]),
        picture=_data_url(content) if content else None,
        small=max(width, height) < SMALL,
        ratio=f"{width} / {height}",
        boxes=[_rectangle(overlay) for overlay in card.overlays],
        card=card,
        alt=", ".join(
            [f"{row['id']}: true {card.true}", f"predicted {card.predicted}", "correct" if card.correct else "wrong", *card.notes]
        ),
        heat_map=heat_map,
        heat_map_alt=f"{row['id']}: score map of the predicted class {card.predicted} over the image",
    )


def _heat_map(picture: bytes, levels: bytes | None) -> str | None:
    """The image under the colors of its score map; None where one of the two is damaged."""
    if levels is None:
        return None
    try:
        with Image.open(io.BytesIO(picture)) as image, Image.open(io.BytesIO(levels)) as shown:
            enlarged = max(1, SMALL // max(image.size))  # so that the colors of the map are smooth over a small image
            size = image.width * enlarged, image.height * enlarged
            large = image.convert("RGB").resize(size, Image.Resampling.NEAREST)
            blended = overlay(large, np.asarray(shown.convert("L"), np.float32) / 255)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # of Pillow
        return None
    content = io.BytesIO()
    blended.save(content, "PNG")
    return _data_url(content.getvalue())


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _read_png(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(PNG) and len(content) > 24 else None


def _rectangle(overlay: Overlay) -> Rectangle:
    x0, y0, x1, y1 = overlay.box
    return Rectangle(overlay.kind, round(x0, 5), round(y0, 5), round(x1 - x0, 5), round(y1 - y0, 5))
