"""Folders of images with known, planted faults."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from imgloc.config.registry import find
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation
from imgloc.types import FloatArray, Uint8Array
from tests.tool_folders import WRITERS, placed

COUNT = 40
CLASSES = ("cat", "dog")
Change = Callable[[Annotation], Annotation]
Act = Callable[[Path, Annotation], None]


def pixels_of(entry: Annotation) -> Uint8Array:
    """Returns pixels that differ from those of every other image."""
    rng = np.random.default_rng(int(re.sub(r"\D", "", entry.file)))
    coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((entry.width, entry.height), Image.Resampling.BICUBIC))


def clean(seed: int, form: str = "") -> list[Annotation]:
    """Returns annotations of COUNT images with one or two boxes each, in whole pixels, well inside the image.

    Files are where the format needs them, and classes are those that it has.
    """
    rng = np.random.default_rng(seed)
    entries = []
    for number in range(COUNT):
        width, height = (int(side) for side in rng.integers(60, 120, 2))
        low = rng.integers(2, 20, (1 + number % 2, 2))
        boxes = np.concatenate([low, low + rng.integers(12, 35, low.shape)], axis=1).astype(np.float64)
        split = ("train", "train", "validation", "test")[number % 4]
        names = tuple("face" if form == "wider_face" else CLASSES[(number + i) % 2] for i in range(len(boxes)))
        entry = Annotation(f"images/p{number:03d}.jpg", boxes, names, width=width, height=height, split=split)
        entries.append(placed(entry, form))
    return entries


def write(entries: Sequence[Annotation], folder: Path, form: str, pictures: Sequence[Annotation] = ()) -> None:
    """Writes annotations in a format, and their images; `pictures` gives other sizes for the images."""
    classes = tuple(dict.fromkeys([*CLASSES, *(name for entry in entries for name in entry.names)]))
    if form in WRITERS:
        WRITERS[form](entries, folder)
    else:
        find("data.formats", form).write(AnnotatedFolder(form, classes, tuple(entries)), folder)
    for entry in pictures or entries:
        (folder / entry.file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels_of(entry)).save(folder / entry.file, quality=90)


def first_box(change: Callable[[FloatArray, Annotation], Sequence[float]]) -> Change:
    """Returns a change that replaces the first box."""

    def changed(entry: Annotation) -> Annotation:
        boxes = entry.boxes_nx4.copy()
        boxes[0] = change(boxes[0], entry)
        return dataclasses.replace(entry, boxes_nx4=boxes)

    return changed


def second_name(entry: Annotation) -> Annotation:
    return dataclasses.replace(entry, names=(entry.names[0].capitalize(), *entry.names[1:]))


def doubled(entry: Annotation) -> Annotation:
    boxes = np.concatenate([entry.boxes_nx4, entry.boxes_nx4[:1]])
    return dataclasses.replace(entry, boxes_nx4=boxes, names=(*entry.names, entry.names[0]))


#: Formats by what they can express.
ALL = "voc csv coco yolo labelme createml via cvat wider_face mot huggingface"
SIGNED = "voc csv coco createml via cvat wider_face mot huggingface"  # a box may be inverted in one direction alone
EXACT = "csv coco createml via cvat wider_face mot huggingface labelme"  # pixels with fractions
SIZED = "voc csv coco labelme cvat huggingface"  # with the size of the image
#: Changes of annotations: the kind of fault, the formats that can express it, and the change.
CHANGES: list[tuple[str, str, Change]] = [
    ("inverted_box", SIGNED, first_box(lambda b, e: (b[2], b[1], b[0], b[3]))),
    ("inverted_box", f"{SIGNED} yolo", first_box(lambda b, e: (b[2], b[3], b[0], b[1]))),
    ("empty_box", ALL, first_box(lambda b, e: (b[0], b[1], b[0], b[3]))),
    ("empty_box", f"{SIGNED} labelme", first_box(lambda b, e: (b[0], b[1], b[2], b[1]))),
    ("outside_box", ALL, first_box(lambda b, e: (b[0], b[1], e.width + 9, b[3]))),
    ("outside_box", ALL, first_box(lambda b, e: (-7, b[1], b[2], b[3]))),
    ("outside_box", f"{SIGNED} labelme", first_box(lambda b, e: (b[0], e.height + 3, b[2], e.height + 20))),
    ("edge_box", f"{SIGNED} labelme", first_box(lambda b, e: (b[0], b[1], b[2], e.height + 1))),
    ("edge_box", f"{EXACT} yolo", first_box(lambda b, e: (b[0], b[1], e.width + 0.25, b[3]))),
    ("duplicate_box", ALL, doubled),
    ("class_case", ALL.replace("wider_face ", ""), second_name),
    ("size_mismatch", SIZED, lambda e: dataclasses.replace(e, width=e.width + 11)),
    ("normalised_box", EXACT, first_box(lambda b, e: (b[0] / e.width, b[1] / e.height, b[2] / e.width, b[3] / e.height))),
    ("pixel_box", "yolo", first_box(lambda b, e: b * np.array([e.width, e.height] * 2))),
    ("unboxed_image", ALL, lambda e: dataclasses.replace(e, boxes_nx4=np.zeros((0, 4)), names=())),
]  # fmt: skip


def truncate(folder: Path, entry: Annotation) -> None:
    content = (folder / entry.file).read_bytes()
    (folder / entry.file).write_bytes(content[: len(content) * 2 // 3])


def turn(folder: Path, entry: Annotation) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels_of(entry)).save(folder / entry.file, exif=exif, quality=90)


def add_another(folder: Path, entry: Annotation) -> None:
    """Writes an image without annotation beside the entry's."""
    Image.fromarray(255 - pixels_of(entry)).save((folder / entry.file).with_name(f"extra_{Path(entry.file).name}"))


#: Changes of files: the kind of fault, the formats, and the change.
ACTS: list[tuple[str, str, Act]] = [
    ("unreadable_image", ALL, truncate),
    ("unreadable_image", ALL, lambda folder, e: (folder / e.file).write_bytes(b"")),
    ("unreadable_image", ALL, lambda folder, e: (folder / e.file).write_bytes(b"<html>404</html>" * 20)),
    ("missing_image", ALL, lambda folder, e: (folder / e.file).unlink()),
    ("exif_rotation", ALL, turn),
    ("unannotated_image", ALL.replace("mot ", ""), add_another),
]  # fmt: skip


def same_picture(folder: Path, entry: Annotation, other: Annotation) -> None:
    """Writes the pixels of another image under this name, in another file format, with other metadata."""
    with Image.open(folder / other.file) as image:
        made = io.BytesIO()
        image.convert("RGB").resize((other.width, other.height)).save(made, "PNG", dpi=(72, 72))
    (folder / entry.file).write_bytes(made.getvalue())


def planted(folder: Path, form: str, seed: int) -> list[tuple[str, str]]:
    """Writes a folder with faults, each in a different image; returns kind and image of each fault."""
    entries = clean(seed, form)
    pictures = tuple(entries)
    indices = iter(np.random.default_rng(seed + 100).permutation(COUNT).tolist())
    faults = []
    for kind, forms, change in CHANGES:
        if form in forms.split():
            place = next(indices)
            entries[place] = change(entries[place])
            faults.append((kind, entries[place].file))
    acts = [(kind, next(indices), act) for kind, forms, act in ACTS if form in forms.split()]
    rest = list(indices)
    copies = []
    for kind in ("duplicate_image", "repeated_image"):
        first = rest.pop()
        alike = kind == "repeated_image"
        copy = rest.pop(next(i for i, place in enumerate(rest) if (entries[place].split == entries[first].split) == alike))
        entries[copy] = dataclasses.replace(entries[first], file=entries[copy].file, split=entries[copy].split)
        copies.append((kind, copy, first))
    write(entries, folder, form, pictures)
    for kind, place, act in acts:
        act(folder, entries[place])
        faults.append((kind, entries[place].file))
    for kind, copy, first in copies:
        same_picture(folder, entries[copy], entries[first])
        faults.append((kind, entries[copy].file))
    return faults
