"""COCO folders as tensors, detections as COCO results, and their average precision; for the programs beside imgloc."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchvision import io as image_io
from torchvision.transforms.v2 import functional

Rows: TypeAlias = list[dict[str, Any]]  # of a file of COCO results
MODES = {1: image_io.ImageReadMode.GRAY, 3: image_io.ImageReadMode.RGB}


class Picture(NamedTuple):
    """An image in memory with its truth, in pixels of that image."""

    id: int
    pixels_cxhxw: Tensor  # uint8
    boxes_nx4: Tensor  # xyxy
    labels_n: Tensor  # from 1, in the order of the category ids
    width: int  # of the file
    height: int


def annotation_file(folder: Path, split: str) -> Path:
    """Returns the COCO file of a split (train, val, test)."""
    return folder / "annotations" / f"instances_{split}.json"


def read_json(path: Path) -> Any:
    """Returns the content of a JSON file."""
    return json.loads(path.read_text())


def read_image(path: Path, channels: int, size: tuple[int, int] | None) -> tuple[Tensor, int, int]:
    """Returns an image (c, h, w) stretched to `size` (height, width), and the width and the height of the file."""
    pixels = image_io.decode_image(image_io.read_file(str(path)), MODES[channels])
    height, width = pixels.shape[1:]
    if size and (height, width) != size:
        pixels = functional.resize(pixels, list(size), antialias=True)
    return pixels, width, height


def read_split(folder: Path, split: str, channels: int, size: tuple[int, int] | None) -> list[Picture]:
    """Returns all images of a split, stretched to `size` (height, width), or as large as their files where it is None."""
    content = read_json(annotation_file(folder, split))
    label_of = {number: label for label, number in enumerate(category_ids(content), start=1)}
    truth: dict[int, list[tuple[list[float], int]]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        if not annotation["iscrowd"] and w > 0 and h > 0:
            truth[annotation["image_id"]].append(([x, y, x + w, y + h], label_of[annotation["category_id"]]))
    pictures = []
    for image in content["images"]:
        pixels, width, height = read_image(folder / image["file_name"], channels, size)
        boxes = torch.tensor([box for box, _ in truth[image["id"]]], dtype=torch.float32).reshape(-1, 4)
        scale = torch.tensor([pixels.shape[2] / width, pixels.shape[1] / height] * 2)
        labels = torch.tensor([label for _, label in truth[image["id"]]], dtype=torch.int64)
        pictures.append(Picture(image["id"], pixels, boxes * scale, labels, width, height))
    return pictures


def category_ids(content: Mapping[str, Any]) -> list[int]:
    """Returns the category ids of a COCO file in order; label i + 1 is the one at place i."""
    return sorted(category["id"] for category in content["categories"])


def result_rows(image_id: int, boxes_nx4: Tensor, scores_n: Iterable[float], labels_n: Iterable[int], categories: Sequence[int]) -> Rows:
    """Returns COCO results of an image; boxes are xyxy in pixels of its file, and labels count from 1."""
    return [
        {"image_id": image_id, "category_id": categories[label - 1], "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for (x0, y0, x1, y1), score, label in zip(boxes_nx4.tolist(), scores_n, labels_n, strict=True)
    ]


def average_precision(truth: Path, rows: Rows) -> dict[str, float]:
    """Returns COCO's AP (mean over IoU 0.50 to 0.95), AP50 and AP75 of results."""
    if not rows:
        return {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("ap", "ap50", "ap75"), (round(float(value), 4) for value in evaluation.stats[:3]), strict=True))
