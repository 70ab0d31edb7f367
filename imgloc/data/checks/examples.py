"""What is wrong with the examples of a source, whatever it is: everything that can be seen in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from imgloc.data.annotated.annotations import Fault
from imgloc.data.batches import pipeline
from imgloc.data.checks import images as check_images
from imgloc.data.checks.folder import Findings, in_order
from imgloc.errors import UnreadableImage, one_line, reason
from imgloc.types import Example, Source

CHUNK = 1000  # examples that a pool is asked for at once
FORGIVEN = 1e-6  # beyond [0, 1]


@dataclass(frozen=True)
class Seen:
    """What is kept of an example that was looked at."""

    faults: tuple[tuple[str, str], ...]  # kind, what
    id: str = ""
    group: str = ""
    digest: str = ""
    boxes: int = 0


def check_sources(sources: Mapping[str, Source]) -> Findings:
    """The faults of splits, by name, of one data set: each of their examples is made once; of endless ones the first 10,000."""
    found: list[Fault] = []
    pixels: list[tuple[str, str, str, str]] = []
    groups: dict[str, tuple[str, str]] = {}
    ids: set[tuple[str, str]] = set()
    unboxed: list[str] = []
    boxes = total = 0
    for split, source in sources.items():
        size = pipeline.finite_size(source)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for index, seen in enumerate(_looks(pool, source, size)):
                where = f"{split}: {seen.id or f'example {index}'}"
                found += [Fault(kind, where, what) for kind, what in seen.faults]
                if not seen.id:
                    continue
                if (split, seen.id) in ids:
                    found.append(Fault("duplicate_id", where, "another example of the split has this id"))
                ids.add((split, seen.id))
                part, first = groups.setdefault(seen.group, (split, where))
                if part != split:
                    found.append(Fault("shared_group", where, f"its group '{seen.group}' is that of {first} too"))
                pixels.append((where, seen.id, split, seen.digest))
                boxes += seen.boxes
                unboxed += [] if seen.boxes else [where]
        total += size
    found += check_images.same_pixels(pixels)
    found += [Fault("unboxed_image", where, "it has no box") for where in unboxed if boxes]
    return Findings(in_order(found), total, total)


def _looks(pool: ThreadPoolExecutor, source: Source, size: int) -> Iterator[Seen]:
    """A look at each of the first `size` examples, some at a time: a pool keeps what it has been asked for in memory."""
    for start in range(0, size, CHUNK):
        yield from pool.map(lambda index: look(source, index), range(start, min(start + CHUNK, size)))


def look(source: Source, index: int) -> Seen:
    """One example, made and looked at."""
    try:
        example = source[index]
    except UnreadableImage as error:
        return Seen(((error.kind, one_line(error)),))
    except Exception as error:  # whatever a source of somebody's own does
        return Seen((("bad_example", f"it cannot be made: {reason(error)}"),))
    faults = [*_of_image(example), *_of_labels(example, len(source.info.classes)), *_of_boxes(example)]
    pixels = check_images.digest(example.image_hxwxc) if not any(kind == "bad_example" for kind, _ in faults) else ""
    return Seen(tuple(faults), str(example.id), str(example.group), pixels, len(example.boxes_nx4))


def _of_image(example: Example) -> Iterator[tuple[str, str]]:
    image = np.asarray(example.image_hxwxc)
    if image.dtype != np.uint8:
        yield "bad_example", f"its image is of {image.dtype}, not uint8"
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or 0 in image.shape:
        yield "bad_example", f"its image is of shape {image.shape}, not (height, width, 1 or 3)"


def _of_labels(example: Example, classes: int) -> Iterator[tuple[str, str]]:
    labels = np.asarray(example.labels_n)
    if labels.shape != (len(example.boxes_nx4),) or labels.dtype.kind not in "iu":
        yield "bad_example", f"its labels are of shape {labels.shape} and {labels.dtype}, with {len(example.boxes_nx4)} boxes"
        return
    for label in (example.label, *labels.tolist()):
        if not 0 <= label < classes:
            yield "bad_label", f"label {label}, of {classes} classes"
            return


def _of_boxes(example: Example) -> Iterator[tuple[str, str]]:
    boxes = np.asarray(example.boxes_nx4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind != "f":
        yield "bad_example", f"its boxes are of shape {boxes.shape} and {boxes.dtype}, not (n, 4) and float32"
        return
    if not np.isfinite(boxes).all():
        yield "bad_example", "a box has an edge that is no number"
        return
    if len(boxes) and np.abs(boxes).max() > 2:
        yield "pixel_box", f"box {_told(boxes[int(np.abs(boxes).max(axis=1).argmax())])} is not in [0, 1]"
        return
    seen: set[tuple[float, ...]] = set()
    for number, (box, label) in enumerate(zip(boxes.tolist(), np.asarray(example.labels_n).tolist(), strict=False), start=1):
        sides = (box[2] - box[0], box[3] - box[1])
        if min(sides) < 0:
            yield "inverted_box", f"box {number}, {_told(box)}, ends before it begins"
        elif min(sides) == 0:
            yield "empty_box", f"box {number}, {_told(box)}, has no area"
        if min(box) < -FORGIVEN or max(box) > 1 + FORGIVEN:
            yield "outside_box", f"box {number}, {_told(box)}, reaches outside [0, 1]"
        if (label, *box) in seen:
            yield "duplicate_box", f"box {number}, {_told(box)}, is there twice"
        seen.add((label, *box))


def _told(box: object) -> str:
    return "(" + ", ".join(f"{edge:.6g}" for edge in np.asarray(box).tolist()) + ")"
