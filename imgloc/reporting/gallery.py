"""The images of the best, median and worst examples with their true and predicted boxes."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

from imgloc.evaluation import scoring
from imgloc.interfaces import Card, Overlay
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


def gallery(report: RunReport) -> dict[str, list[Example]]:
    """The best, median and worst examples, `eval.gallery` of each."""
    chosen = scoring.gallery_rows(report.model.rows, report.task, report.config.eval.gallery)
    return {
        name: [gallery_example(report, row, report.run.thumbnail(report.split, str(row["id"]))) for row in rows]
        for name, rows in chosen.items()
    }


def gallery_example(report: RunReport, row: Row, path: Path) -> Example:
    """The example of one row, with the PNG image at `path` if it can be read."""
    content = _read_png(path)
    width, height = struct.unpack(">II", content[16:24]) if content else (1, 1)
    card = report.task.card(row, report.class_name)
    return Example(
        id=str(row["id"]),
        picture="data:image/png;base64," + base64.b64encode(content).decode() if content else None,
        small=max(width, height) < SMALL,
        ratio=f"{width} / {height}",
        boxes=[_rectangle(overlay) for overlay in card.overlays],
        card=card,
        alt=", ".join(
            [f"{row['id']}: true {card.true}", f"predicted {card.predicted}", "correct" if card.correct else "wrong", *card.notes]
        ),
    )


def _read_png(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(PNG) and len(content) > 24 else None


def _rectangle(overlay: Overlay) -> Rectangle:
    x0, y0, x1, y1 = overlay.box
    return Rectangle(overlay.kind, round(x0, 5), round(y0, 5), round(x1 - x0, 5), round(y1 - y0, 5))
