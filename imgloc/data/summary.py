"""What a split holds, in numbers: images, classes, boxes, and what answers that never look at an image score on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgloc import boxes as box_arithmetic
from imgloc.boxes import SIZES
from imgloc.data.batches import pipeline
from imgloc.data.batches.sampler import read
from imgloc.errors import UnreadableImage
from imgloc.types import BoolArray, FloatArray, InMemory, IntArray, Reducible, Source, Truth, TruthKnown

THRESHOLDS = (0.3, 0.5, 0.7)  # of IoU
CHUNK = 256  # examples taken at once from a source in memory
ON_GRID = 1e-3  # pixels: an edge nearer than this to a whole pixel is that pixel's, rounded to float32
AT_EDGE = 0.5  # pixels
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MAP = (8, 16)  # rows and columns of the map of where objects lie


@dataclass(frozen=True)
class Split:
    """The truth of all examples of a split, images flat: boxes of image i are those with `image_m == i`."""

    name: str
    classes: tuple[str, ...]
    label_n: IntArray
    size_nx2: FloatArray  # width and height in pixels; NaN: not known
    boxes_mx4: FloatArray  # float64; in pixels where the size is known, else in [0, 1]
    labels_m: IntArray
    image_m: IntArray
    largest_n: IntArray  # the box of an image that is the largest, the first of several; -1: it has none
    unreadable: int  # examples left out
    whole: int  # how many examples the split has: more than these where they stand for all


def truths(source: Source, indices: Sequence[int]) -> Iterator[Truth | None]:
    """The truth of examples in the cheapest way that their source has; None for those that cannot be read.

    Their headers where the source offers that, whole batches where they lie in memory, else images decoded as small as can be.
    """
    if isinstance(source, InMemory):
        yield from _from_memory(source, indices)
        return
    for index in indices:
        try:
            if isinstance(source, TruthKnown):
                yield source.known(index)
                continue
            example = read(source, index, (1, 1))
            height, width = (0, 0) if isinstance(source, Reducible) else example.image_hxwxc.shape[:2]
            yield Truth(example.boxes_nx4, example.labels_n, example.label, example.id, width, height)
        except UnreadableImage:
            yield None


def _from_memory(source: InMemory, indices: Sequence[int]) -> Iterator[Truth]:
    for start in range(0, len(indices), CHUNK):
        batch = source.take(np.array(indices[start : start + CHUNK], np.int64))
        height, width = batch.images_bxhxwxc.shape[1:3]
        for i, index in enumerate(indices[start : start + CHUNK]):
            there = batch.object_mask_bxn[i]
            yield Truth(batch.boxes_bxnx4[i][there], batch.labels_bxn[i][there], int(batch.label_b[i]), str(index), width, height)


def gathered(name: str, source: Source) -> Split:
    """A split's truth: of all examples, or of about 10,000 that stand for all where they are endless or very many."""
    indices = pipeline.sample(source)
    labels: list[int] = []
    sizes: list[tuple[float, float]] = []
    boxes: list[FloatArray] = []
    box_labels: list[IntArray] = []
    images: list[int] = []
    largest: list[int] = []
    before = unreadable = 0
    for truth in truths(source, indices):
        if truth is None:
            unreadable += 1
            continue
        found = in_pixels(np.asarray(truth.boxes_nx4, np.float64), truth.width, truth.height)
        largest.append(before + int(np.argmax(box_arithmetic.area(found))) if len(found) else -1)
        before += len(found)
        images += [len(labels)] * len(found)
        labels.append(truth.label)
        sizes.append((truth.width, truth.height) if truth.width and truth.height else (np.nan, np.nan))
        boxes.append(found)
        box_labels.append(truth.labels_n)
    return Split(
        name=name,
        classes=source.info.classes,
        label_n=np.array(labels, np.int64),
        size_nx2=np.array(sizes, np.float64).reshape(-1, 2),
        boxes_mx4=np.concatenate([np.zeros((0, 4)), *boxes]),
        labels_m=np.concatenate([np.zeros(0, np.int64), *box_labels]).astype(np.int64),
        image_m=np.array(images, np.int64),
        largest_n=np.array(largest, np.int64),
        unreadable=unreadable,
        whole=len(source),
    )


def in_pixels(boxes_nx4: FloatArray, width: int, height: int) -> FloatArray:
    """Boxes in [0, 1], float32 or made from it, in pixels, edges on the grid exactly where they were; as they are without a size.

    So an IoU that is a threshold exactly is told as that: areas of whole pixels are exact, and their quotient is rounded once.
    """
    if not width or not height:
        return boxes_nx4
    pixels: FloatArray = box_arithmetic.to_pixels(boxes_nx4, width, height)
    whole = np.rint(pixels)
    near = np.where(np.abs(pixels - whole) < ON_GRID, whole, pixels)
    some = np.all(near[:, 2:] > near[:, :2], axis=1, keepdims=True)  # a box thinner than that would vanish
    return np.where(some, near, pixels)


def shares(split: Split) -> FloatArray:
    """The boxes (m, 4) of a split in [0, 1] of their images."""
    scale = np.nan_to_num(split.size_nx2, nan=1.0)[split.image_m]
    found: FloatArray = split.boxes_mx4 / np.concatenate([scale, scale], axis=1)
    return found


def median_box(splits: Iterable[Split]) -> FloatArray | None:
    """The median of each edge (4,), in [0, 1], over the largest box of each image of these splits; None where there is no box."""
    found = np.concatenate([np.zeros((0, 4)), *(shares(split)[split.largest_n[split.largest_n >= 0]] for split in splits)])
    return np.asarray(np.median(found, axis=0)) if len(found) else None


def fixed_box_scores(split: Split, box: FloatArray) -> dict[str, dict[str, float]]:
    """What one box (4,), in [0, 1], scores for every image with boxes: `largest` against its largest, `any` against its best met.

    Each `iou_30`, `iou_50`, `iou_70`: the share of images where IoU is at least that; `mean_iou`.
    """
    scale = np.nan_to_num(split.size_nx2, nan=1.0)[split.image_m]
    answers = in_pixels_of(box, scale)
    iou_m = box_arithmetic.iou(answers, split.boxes_mx4)
    best_n = np.full(len(split.label_n), -1.0)
    np.maximum.at(best_n, split.image_m, iou_m)
    against = {"largest": iou_m[split.largest_n[split.largest_n >= 0]], "any": best_n[best_n >= 0]}
    return {
        name: {f"iou_{100 * t:.0f}": float(np.mean(iou >= t)) for t in THRESHOLDS} | {"mean_iou": float(np.mean(iou))}
        for name, iou in against.items()
        if len(iou)
    }


def in_pixels_of(box: FloatArray, sizes_mx2: FloatArray) -> FloatArray:
    """One box (4,) in [0, 1] in pixels of images of these sizes (m, 2)."""
    found: FloatArray = box * np.concatenate([sizes_mx2, sizes_mx2], axis=1)
    whole = np.rint(found)
    return np.where(np.abs(found - whole) < 1e-9 * np.maximum(1, whole), whole, found)


def class_counts(split: Split) -> list[tuple[str, int, int]]:
    """Name, images and boxes of each class, in the order of their numbers."""
    of_images = np.bincount(split.label_n[split.label_n >= 0], minlength=len(split.classes))
    of_boxes = np.bincount(split.labels_m[split.labels_m >= 0], minlength=len(split.classes))
    return [(name, int(of_images[i]), int(of_boxes[i])) for i, name in enumerate(split.classes)]


def quantiles(values: FloatArray) -> dict[str, float]:
    """5, 25, 50, 75 and 95 % of values, and the least and the most; {} of none."""
    if not len(values):
        return {}
    found = {f"{100 * q:g}%": float(np.quantile(values, q)) for q in QUANTILES}
    return {"least": float(np.min(values)), **found, "most": float(np.max(values))}


def coverage(boxes_mx4: FloatArray, rows: int = MAP[0], columns: int = MAP[1]) -> FloatArray:
    """The share of boxes, (rows, columns), that cover the middle of each cell of the picture."""
    x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    over_x = ((boxes_mx4[:, :1] <= x) & (x < boxes_mx4[:, 2:3])).astype(np.float32)  # m x columns
    over_y = ((boxes_mx4[:, 1:2] <= y) & (y < boxes_mx4[:, 3:])).astype(np.float32)
    return over_y.T @ over_x / max(1, len(boxes_mx4))


def touching(split: Split) -> BoolArray:
    """Which boxes (m,) touch an edge of their image, to half a pixel."""
    scale = np.nan_to_num(split.size_nx2, nan=1.0)[split.image_m]
    near = np.where(np.isnan(split.size_nx2).any(axis=1), 1e-3, AT_EDGE)[split.image_m]
    found: BoolArray = (split.boxes_mx4[:, :2].min(axis=1) <= near) | ((scale - split.boxes_mx4[:, 2:]).min(axis=1) <= near)
    return found


def described(split: Split) -> dict[str, Any]:
    """Everything of a split but the baselines, as JSON values."""
    inside = shares(split)
    area_m = box_arithmetic.area(inside)
    sides = np.sqrt(area_m)
    per_image = np.bincount(split.image_m, minlength=len(split.label_n))
    sizes = split.size_nx2[~np.isnan(split.size_nx2).any(axis=1)]
    middles = (inside[:, :2] + inside[:, 2:]) / 2
    found: dict[str, Any] = {
        "images": len(split.label_n), "of": split.whole, "unreadable": split.unreadable, "boxes": len(split.boxes_mx4),
        "boxes_per_image": {str(n): int(count) for n, count in enumerate(np.bincount(per_image)) if count},
        "classes": [{"name": name, "images": images, "boxes": boxes} for name, images, boxes in class_counts(split)],
        "width": quantiles(sizes[:, 0]), "height": quantiles(sizes[:, 1]), "aspect": quantiles(sizes[:, 0] / sizes[:, 1]),
        "box_area": quantiles(area_m),
        "box_sizes": {name: int(np.sum((sides >= low) & (sides < high))) for name, (low, high) in SIZES.items()},
        "box_aspect": quantiles(_aspect(split.boxes_mx4)),
        "at_edge": int(touching(split).sum()), "coverage": coverage(inside).round(3).tolist(),
    }  # fmt: skip
    if len(inside):
        found["middle"] = {"mean": middles.mean(axis=0).round(4).tolist(), "deviation": middles.std(axis=0).round(4).tolist()}
    return found


def _aspect(boxes_mx4: FloatArray) -> FloatArray:
    sides = boxes_mx4[:, 2:] - boxes_mx4[:, :2]
    return sides[:, 0] / sides[:, 1]
