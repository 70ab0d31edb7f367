"""Faults of the examples of any source, from the examples alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from imgloc.data.annotated.annotations import Fault
from imgloc.data.batches import pipeline
from imgloc.data.checks.boxes import format_box
from imgloc.data.checks.folder import Findings, sort_faults
from imgloc.data.checks.images import ImageHash, find_duplicates, pixel_digest
from imgloc.errors import UnreadableImage, one_line, reason
from imgloc.types import Example, Info, Source

CHUNK = 1000  # examples that are submitted to the pool at once
TOLERANCE = 1e-6  # beyond [0, 1]


class CheckedExample(NamedTuple):
    """The faults of one example, and what is needed to compare it with others."""

    faults: tuple[tuple[str, str], ...]  # (kind, description)
    id: str = ""  # "": the example could not be read
    group: str = ""
    digest: str = ""
    num_boxes: int = 0


def check_sources(sources: Mapping[str, Source]) -> Findings:
    """Returns the faults of the splits of a data set, by name. Reads each example once; of endless splits, the first 10,000."""
    faults: list[Fault] = []
    hashes: list[ImageHash] = []
    groups: dict[str, tuple[str, str]] = {}
    ids: set[tuple[str, str]] = set()
    unboxed: list[str] = []
    num_boxes = total = 0
    for split, source in sources.items():
        size = pipeline.finite_size(source)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for index, checked in enumerate(_check_in_chunks(pool, source, size)):
                where = f"{split}: {checked.id or f'example {index}'}"
                faults += [Fault(kind, where, what) for kind, what in checked.faults]
                if not checked.id:
                    continue
                if (split, checked.id) in ids:
                    faults.append(Fault("duplicate_id", where, "another example of the split has the same id"))
                ids.add((split, checked.id))
                first_split, first = groups.setdefault(checked.group, (split, where))
                if first_split != split:
                    faults.append(Fault("shared_group", where, f"its group '{checked.group}' is also the group of {first}"))
                hashes.append(ImageHash(where, checked.id, split, checked.digest))
                num_boxes += checked.num_boxes
                unboxed += [] if checked.num_boxes else [where]
        total += size
    faults += find_duplicates(hashes)
    faults += [Fault("unboxed_image", where, "it has no box") for where in unboxed if num_boxes]
    return Findings(sort_faults(faults), total, total)


def _check_in_chunks(pool: ThreadPoolExecutor, source: Source, size: int) -> Iterator[CheckedExample]:
    """Yields the first `size` examples, checked; in chunks, because a pool keeps all submitted work in memory."""
    for start in range(0, size, CHUNK):
        yield from pool.map(lambda index: check_example(source, index), range(start, min(start + CHUNK, size)))


def check_example(source: Source, index: int) -> CheckedExample:
    """Reads and checks one example."""
    try:
        example = source[index]
    except UnreadableImage as error:
        return CheckedExample(((error.kind, one_line(error)),))
    except Exception as error:  # sources of users may raise anything
        return CheckedExample((("bad_example", f"it cannot be read: {reason(error)}"),))
    faults = [*_image_faults(example), *_label_faults(example, source.info), *_box_faults(example)]
    digest = pixel_digest(example.image_hxwxc) if not any(kind == "bad_example" for kind, _ in faults) else ""
    return CheckedExample(tuple(faults), str(example.id), str(example.group), digest, len(example.boxes_nx4))


def _image_faults(example: Example) -> Iterator[tuple[str, str]]:
    image = np.asarray(example.image_hxwxc)
    if image.dtype != np.uint8:
        yield "bad_example", f"its image has dtype {image.dtype}, expected uint8"
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or 0 in image.shape:
        yield "bad_example", f"its image has shape {image.shape}, expected (height, width, 1 or 3)"


def _label_faults(example: Example, info: Info) -> Iterator[tuple[str, str]]:
    labels, num_boxes = np.asarray(example.labels_n), len(example.boxes_nx4)
    if labels.shape != (num_boxes,) or labels.dtype.kind not in "iu":
        yield "bad_example", f"its labels have shape {labels.shape} and dtype {labels.dtype}, expected ({num_boxes},) and int32"
        return
    of_image = [] if not num_boxes and example.label == -1 and not info.all_labelled else [example.label]
    for label in (*of_image, *labels.tolist()):
        if not 0 <= label < len(info.classes):
            yield "bad_label", f"label {label} is not in [0, {len(info.classes)})"
            return


def _box_faults(example: Example) -> Iterator[tuple[str, str]]:
    boxes = np.asarray(example.boxes_nx4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind != "f":
        yield "bad_example", f"its boxes have shape {boxes.shape} and dtype {boxes.dtype}, expected (n, 4) and float32"
        return
    if not np.isfinite(boxes).all():
        yield "bad_example", "a box has an edge that is not finite"
        return
    if len(boxes) and np.abs(boxes).max() > 2:
        yield "pixel_box", f"box {format_box(boxes[int(np.abs(boxes).max(axis=1).argmax())])} is not in [0, 1]"
        return
    seen: set[tuple[float, ...]] = set()
    for number, (box, label) in enumerate(zip(boxes, np.asarray(example.labels_n).tolist(), strict=False), start=1):
        name = f"box {number}, {format_box(box)},"
        edges = box.tolist()
        sides = (edges[2] - edges[0], edges[3] - edges[1])
        if min(sides) < 0:
            yield "inverted_box", f"{name} is inverted"
        elif min(sides) == 0:
            yield "empty_box", f"{name} has no area"
        if min(edges) < -TOLERANCE or max(edges) > 1 + TOLERANCE:
            yield "outside_box", f"{name} reaches outside [0, 1]"
        if (label, *edges) in seen:
            yield "duplicate_box", f"{name} is a duplicate"
        seen.add((label, *edges))
