"""Statistics of a split: images, classes and boxes, and the scores of fixed boxes on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from imgloc import boxes as box_arithmetic
from imgloc.boxes import SIZES
from imgloc.data.batches import pipeline
from imgloc.data.batches.sampler import read_example
from imgloc.errors import UnreadableImage
from imgloc.types import BoolArray, FloatArray, InMemory, IntArray, Reducible, Source, Truth, TruthKnown

THRESHOLDS = (0.3, 0.5, 0.7)  # of IoU
CHUNK = 256  # examples of one batch of an `InMemory` source
GRID_TOLERANCE = 1e-3  # pixels: an edge this close to a whole pixel was rounded to float32
EDGE_DISTANCE = 0.5  # pixels: a closer box touches the edge
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MAP_SHAPE = (8, 16)  # rows and columns of the coverage map


@dataclass(frozen=True)
class SplitTruths:
    """The truths of the n images of a split and their m boxes; the boxes of image i are those with `image_m == i`."""

    name: str
    classes: tuple[str, ...]
    label_n: IntArray
    size_nx2: FloatArray  # width and height in pixels; NaN if unknown
    boxes_mx4: FloatArray  # float64, in pixels, or in [0, 1] if the size is unknown
    labels_m: IntArray
    image_m: IntArray
    largest_n: IntArray  # index of the image's largest box, -1 without boxes
    unreadable: int  # examples that were skipped
    whole: int  # number of examples of the split: more than n if these are a sample


def truths(source: Source, indices: Sequence[int]) -> Iterator[Truth | None]:
    """The truth of each example, or None if it is unreadable, read in the cheapest way that the source supports.

    That is whole batches of an `InMemory` source, headers of a `TruthKnown` source, or else images decoded as small as possible.
    """
    if isinstance(source, InMemory):
        yield from _from_memory(source, indices)
        return
    for index in indices:
        try:
            if isinstance(source, TruthKnown):
                yield source.known(index)
                continue
            example = read_example(source, index, (1, 1))
            unknown = isinstance(source, Reducible) and example.upright_size is None
            yield dataclasses.replace(example.truth, width=0, height=0) if unknown else example.truth
        except UnreadableImage:
            yield None


def _from_memory(source: InMemory, indices: Sequence[int]) -> Iterator[Truth]:
    for start in range(0, len(indices), CHUNK):
        batch = source.take(np.array(indices[start : start + CHUNK], np.int64))
        boxes_bxnx4, labels_bxn = np.asarray(batch.boxes_bxnx4), np.asarray(batch.labels_bxn)
        height, width = batch.images_bxhxwxc.shape[1:3]
        for i, index in enumerate(indices[start : start + CHUNK]):
            present = batch.object_mask_bxn[i]
            yield Truth(boxes_bxnx4[i][present], labels_bxn[i][present], int(batch.label_b[i]), str(index), width, height)


def collect_truths(name: str, source: Source) -> SplitTruths:
    """The truths of all examples of a split, or of a sample of about 10,000 of an endless or very long one."""
    results = list(truths(source, pipeline.sample_indices(source)))
    readable = [truth for truth in results if truth is not None]
    boxes = [to_pixels(np.asarray(truth.boxes_nx4, np.float64), truth.width, truth.height) for truth in readable]
    counts_n = np.array([len(boxes_nx4) for boxes_nx4 in boxes], np.int64)
    largest = [int(np.argmax(box_arithmetic.area(boxes_nx4))) if len(boxes_nx4) else -1 for boxes_nx4 in boxes]
    return SplitTruths(
        name=name,
        classes=source.info.classes,
        label_n=np.array([truth.label for truth in readable], np.int64),
        size_nx2=np.array([(t.width, t.height) if t.width and t.height else (np.nan, np.nan) for t in readable], np.float64).reshape(-1, 2),
        boxes_mx4=np.concatenate([np.zeros((0, 4)), *boxes]),
        labels_m=np.concatenate([np.zeros(0, np.int64), *(truth.labels_n for truth in readable)]).astype(np.int64),
        image_m=np.repeat(np.arange(len(readable)), counts_n),
        largest_n=np.where(counts_n > 0, np.cumsum(counts_n) - counts_n + np.array(largest, np.int64), -1),
        unreadable=len(results) - len(readable),
        whole=len(source),
    )


def to_pixels(boxes_nx4: FloatArray, width: int, height: int) -> FloatArray:
    """Boxes in [0, 1] in pixels, with edges that float32 moved off the pixel grid moved back; unchanged if the size is 0.

    An IoU that equals a threshold is then exact: areas of whole pixels are exact, and their quotient is rounded once.
    """
    if not width or not height:
        return boxes_nx4
    pixels: FloatArray = box_arithmetic.to_pixels(boxes_nx4, width, height)
    whole = np.rint(pixels)
    snapped = np.where(np.abs(pixels - whole) < GRID_TOLERANCE, whole, pixels)
    has_area = np.all(snapped[:, 2:] > snapped[:, :2], axis=1, keepdims=True)  # a very thin box would vanish
    return np.where(has_area, snapped, pixels)


def relative_boxes(split: SplitTruths) -> FloatArray:
    """The boxes (m, 4) in [0, 1] of their images."""
    scale_mx2 = _box_scale(split)
    relative: FloatArray = split.boxes_mx4 / np.concatenate([scale_mx2, scale_mx2], axis=1)
    return relative


def _box_scale(split: SplitTruths) -> FloatArray:
    """The units (m, 2) of each box: width and height of its image, 1 if they are unknown."""
    return np.nan_to_num(split.size_nx2, nan=1.0)[split.image_m]


def median_box(splits: Iterable[SplitTruths]) -> FloatArray | None:
    """The median of each edge (4,), in [0, 1], over the largest box of each image of these splits; None without boxes."""
    largest = np.concatenate([np.zeros((0, 4)), *(relative_boxes(split)[split.largest_n[split.largest_n >= 0]] for split in splits)])
    return np.asarray(np.median(largest, axis=0)) if len(largest) else None


def fixed_box_scores(split: SplitTruths, box: FloatArray) -> dict[str, dict[str, float]]:
    """The scores of one box (4,), in [0, 1], on the images with boxes: against the `largest` box of an image and the best of `any`.

    The scores are `mean` and the share of images with an IoU of at least the threshold: `iou_30`, `iou_50`, `iou_70`.
    """
    iou_m = box_arithmetic.iou(_repeat_in_pixels(box, _box_scale(split)), split.boxes_mx4)
    best_n = np.full(len(split.label_n), -1.0)
    np.maximum.at(best_n, split.image_m, iou_m)
    against = {"largest": iou_m[split.largest_n[split.largest_n >= 0]], "any": best_n[best_n >= 0]}
    return {
        name: {f"iou_{100 * t:.0f}": float(np.mean(iou >= t)) for t in THRESHOLDS} | {"mean": float(np.mean(iou))}
        for name, iou in against.items()
        if len(iou)
    }


def _repeat_in_pixels(box: FloatArray, sizes_mx2: FloatArray) -> FloatArray:
    """One box (4,) in [0, 1] as boxes (m, 4) in pixels of images of these sizes."""
    pixels: FloatArray = box * np.concatenate([sizes_mx2, sizes_mx2], axis=1)
    whole = np.rint(pixels)
    return np.where(np.abs(pixels - whole) < 1e-9 * np.maximum(1, whole), whole, pixels)


class ClassCounts(NamedTuple):
    """The numbers of a class in a split."""

    name: str
    images: int  # that contain the class: in a box, or as the class of the image
    image_labels: int  # images whose own class it is
    boxes: int


def class_counts(split: SplitTruths) -> list[ClassCounts]:
    """The numbers of images and boxes of each class, by class number."""
    count = len(split.classes)
    image_of = np.concatenate([split.image_m, np.arange(len(split.label_n))])
    labels = np.concatenate([split.labels_m, split.label_n])
    pairs = np.unique(np.stack([image_of, labels])[:, labels >= 0], axis=1)  # of an image and a class in it
    of_images, of_labels, of_boxes = (
        np.bincount(values[values >= 0], minlength=count).tolist() for values in (pairs[1], split.label_n, split.labels_m)
    )
    return [ClassCounts(*each) for each in zip(split.classes, of_images, of_labels, of_boxes, strict=True)]


def quantiles(values: FloatArray) -> dict[str, float]:
    """The minimum, the 5, 25, 50, 75 and 95 % quantiles and the maximum; empty without values."""
    if not len(values):
        return {}
    inner = {f"{100 * q:g}%": float(np.quantile(values, q)) for q in QUANTILES}
    return {"least": float(np.min(values)), **inner, "most": float(np.max(values))}


def coverage(boxes_mx4: FloatArray, rows: int = MAP_SHAPE[0], columns: int = MAP_SHAPE[1]) -> FloatArray:
    """The share of boxes that cover the center of each cell of a grid over the image, (rows, columns)."""
    x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    over_x = ((boxes_mx4[:, :1] <= x) & (x < boxes_mx4[:, 2:3])).astype(np.float32)  # m x columns
    over_y = ((boxes_mx4[:, 1:2] <= y) & (y < boxes_mx4[:, 3:])).astype(np.float32)
    return over_y.T @ over_x / max(1, len(boxes_mx4))


def touches_edge(split: SplitTruths) -> BoolArray:
    """A mask (m,) of boxes that touch an edge of their image, to half a pixel."""
    near_m = np.where(np.isnan(split.size_nx2).any(axis=1), 1e-3, EDGE_DISTANCE)[split.image_m]
    low_m, high_m = split.boxes_mx4[:, :2].min(axis=1), (_box_scale(split) - split.boxes_mx4[:, 2:]).min(axis=1)
    touches: BoolArray = (low_m <= near_m) | (high_m <= near_m)
    return touches


def _per_image(counts_n: IntArray) -> dict[str, float]:
    """The mean, the 95 % quantile and the maximum of the number of objects in an image; empty without images."""
    if not len(counts_n):
        return {}
    return {"mean": float(np.mean(counts_n)), "95%": float(np.quantile(counts_n, 0.95)), "most": int(counts_n.max())}


def statistics(split: SplitTruths) -> dict[str, Any]:
    """All statistics of a split without the baselines, as JSON values."""
    relative = relative_boxes(split)
    area_m = box_arithmetic.area(relative)
    sides = np.sqrt(area_m)
    box_sides = split.boxes_mx4[:, 2:] - split.boxes_mx4[:, :2]
    per_image = np.bincount(split.image_m, minlength=len(split.label_n))
    sizes = split.size_nx2[~np.isnan(split.size_nx2).any(axis=1)]
    centers = (relative[:, :2] + relative[:, 2:]) / 2
    values: dict[str, Any] = {
        "images": len(split.label_n), "of": split.whole, "unreadable": split.unreadable, "boxes": len(split.boxes_mx4),
        "boxes_per_image": {str(n): int(count) for n, count in enumerate(np.bincount(per_image)) if count},
        "objects_per_image": _per_image(per_image),
        "classes": [counts._asdict() for counts in class_counts(split)],
        "width": quantiles(sizes[:, 0]), "height": quantiles(sizes[:, 1]), "aspect": quantiles(sizes[:, 0] / sizes[:, 1]),
        "box_area": quantiles(area_m),
        "box_sizes": {name: int(np.sum((sides >= low) & (sides < high))) for name, (low, high) in SIZES.items()},
        "box_aspect": quantiles(box_sides[:, 0] / box_sides[:, 1]),
        "at_edge": int(touches_edge(split).sum()), "coverage": coverage(relative).round(3).tolist(),
    }  # fmt: skip
    if len(relative):
        values["middle"] = {"mean": centers.mean(axis=0).round(4).tolist(), "deviation": centers.std(axis=0).round(4).tolist()}
    return values
