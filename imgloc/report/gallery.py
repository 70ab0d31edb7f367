"""Pictures of the best, median and worst cases with their true and predicted boxes."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgloc import boxes
from imgloc.evaluation import scoring
from imgloc.evaluation.metrics.localization import best_iou
from imgloc.report.confusion import class_name
from imgloc.report.load import RunReport
from imgloc.types import Row

SMALL = 200  # pixels: pictures below this are scaled up with hard edges
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Rectangle:
    """A box in [0, 1] of the picture; `kind` is true or predicted."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Card:
    """One case: its picture (a data: address, or none), boxes and caption."""

    id: str
    picture: str | None
    small: bool
    ratio: str
    boxes: list[Rectangle]
    true: str
    predicted: str
    right: bool
    score: str | None
    iou: str | None
    alt: str


def gallery(report: RunReport, split: str) -> dict[str, list[Card]]:
    """Cards of the cases that evaluation kept pictures of, under best, median and worst."""
    chosen = scoring.gallery_rows(report.model.rows, report.config.eval.gallery)
    return {name: [card(report, row, report.run.thumbnail(split, str(row["id"]))) for row in found] for name, found in chosen.items()}


def card(report: RunReport, row: Row, path: Path) -> Card:
    """The card of one row; without a readable picture at `path` it has none."""
    content = _read_png(path)
    width, height = struct.unpack(">II", content[16:24]) if content else (1, 1)
    drawn = [_rectangle("true", box) for box in row.get("boxes", [])]
    iou = None
    if "pred_box" in row:
        drawn.append(_rectangle("predicted", row["pred_box"]))
        iou = f"{best_iou(row):.2f}" if row.get("boxes") else None
    true_labels, found_labels = _answers(row)
    true, predicted = (" ".join(class_name(report, label) for label in labels) for labels in (true_labels, found_labels))
    score = f"{100 * row['top_scores'][0]:.0f}" if row.get("top_scores") else None
    told = f"{row['id']}: true class {true}, predicted {predicted}"
    told += (f" with probability {score} %" if score else "") + (f", IoU {iou}" if iou else "")
    return Card(
        id=str(row["id"]),
        picture="data:image/png;base64," + base64.b64encode(content).decode() if content else None,
        small=max(width, height) < SMALL,
        ratio=f"{width} / {height}",
        boxes=drawn,
        true=true,
        predicted=predicted,
        right=true_labels == found_labels,
        score=score,
        iou=iou,
        alt=told,
    )


def _answers(row: Row) -> tuple[list[int], list[int]]:
    """True and predicted classes: the image's own; of a row that reads, those of its objects, from left to right."""
    order = boxes.reading_order(np.asarray(row.get("boxes", []), np.float64).reshape(-1, 4))
    if "read" not in row or not len(order):
        return [row["label"]], [row["top_labels"][0]]
    return [row["labels"][i] for i in order], row["read"][: len(order)]


def _read_png(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(PNG) and len(content) > 24 else None


def _rectangle(kind: str, box: list[float]) -> Rectangle:
    x0, y0, x1, y1 = box
    return Rectangle(kind, round(x0, 5), round(y0, 5), round(x1 - x0, 5), round(y1 - y0, 5))
