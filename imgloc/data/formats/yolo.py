"""YOLO: one text file for each image, one line for each object: class number, center x, center y, width, height, in [0, 1].

(https://docs.ultralytics.com/datasets/detect). The text of `images/a/b.jpg` is `labels/a/b.txt`, or else `b.txt` beside the image; that
of `JPEGImages/a/b.jpg` is `b.txt` beside it, or else `labels/a/b.txt`. Names of folders and files match in any case. Class names and
splits are read from a .yaml file, or from darknet's `*.data` file with its lists; else class names from `classes.txt` (LabelImg) or
`*.names`, and splits from lists of images (`train.txt`) or folders named after splits. See `imgloc.data.annotated.yolo_names`.

A line with more numbers is a polygon, of which the bounding box is used: x, y of each corner, as segmentation and oriented boxes (4
corners) have them; or a box with keypoints (pose), if `kpt_shape` in the .yaml file or the numbers themselves show it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from imgloc import boxes, files
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, comparable, list_folder
from imgloc.data.annotated.yolo_names import read_declared
from imgloc.types import FloatArray

MAX_LABEL_BYTES = 2**24  # of one image's text
MIN_POSES = 10  # lines of keypoints without visibility: a few polygons may look like them
LINE = re.compile(r"\s*[0-9]+([ \t]+-?[0-9.]+([eE][-+]?[0-9]+)?){4,}\s*(\n|$)")


class Line(NamedTuple):
    """A line of a text file."""

    where: str  # file and line
    label: int
    values: FloatArray  # (v,): all numbers after the class


def recognise(folder: Path | Listing) -> bool:
    """Returns whether images have text files of numbers."""
    listing = list_folder(folder)
    texts = [text for text in _images_by_text(listing) if listing.files[text][0]]
    return any(LINE.match(listing.head(text)) for text in texts[:10])


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all images of a folder that have a text file, and texts in labels/ without an image; boxes are in [0, 1].

    Classes are in the order of their numbers, and named by their numbers if no file has names. Boxes of a number without a name
    have the class "". Raises UserError if the folder does not exist, and for a convention other than edges.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    images = _images_by_text(listing)
    for text in listing.with_suffix(".txt"):
        if text not in images and "labels" in text.lower().split("/")[:-1] and not text.lower().endswith("classes.txt"):
            images[text] = _replace_folder(text, "labels", "images").rpartition(".")[0] + ".jpg"
    texts = sorted(images)
    faults += _unread_texts(images, listing)
    declared = read_declared(listing, texts, faults)
    lines_of: dict[str, list[Line]] = {}
    for text in texts:
        try:
            lines_of[text] = _parse_lines(assemble.load_text(text, listing, faults, MAX_LABEL_BYTES), text, faults)
        except ValueError as error:
            faults.append(Fault("bad_annotation", text, str(error)))
    every = [line for lines in lines_of.values() for line in lines]
    keypoint_numbers = _keypoint_numbers(every, declared.keypoints)
    if keypoint_numbers:
        faults.append(Fault("keypoints", next(line.where for line in every if len(line.values) > 5), "the lines are boxes with keypoints"))
    names = declared.names or {number: str(number) for number in sorted({line.label for line in every})}
    faults += _number_faults(lines_of, names)
    entries = []
    for text, lines in lines_of.items():
        rows, classes = [], []
        for line in lines:
            try:
                rows.append(_parse_box(line.values, keypoint_numbers))
                classes.append(names.get(line.label, ""))
            except ValueError as error:
                faults.append(Fault("bad_annotation", line.where, str(error)))
        image = images[text]
        split = declared.splits.get(image) or listing.split_of(image)
        entries.append(Annotation(image, assemble.box_array(rows), tuple(classes), relative=True, split=split, where=text))
    declared_classes = dict.fromkeys(names[number] for number in sorted(names))
    return assemble.merge_annotations("yolo", declared_classes, entries, faults, meaning="center")


def _number_faults(lines_of: Mapping[str, Sequence[Line]], names: Mapping[int, str]) -> list[Fault]:
    """Returns a fault for each text with class numbers that have no name; a single fault if numbers seem to start at 1."""
    used = {line.label for lines in lines_of.values() for line in lines}
    if len(names) in used and 0 not in used and used <= set(range(1, len(names) + 1)) and set(names) == set(range(len(names))):
        first = next(line.where for lines in lines_of.values() for line in lines if line.label == len(names))
        what = f"class numbers are 1 to {len(names)} for {len(names)} names, which are counted from 0; the numbers seem to start at 1"
        return [Fault("one_based_class", first, what)]
    return [
        Fault("unknown_class", text, f"class {number} has no name; {len(names)} classes have one")
        for text, lines in lines_of.items()
        for number in sorted({line.label for line in lines} - set(names))
    ]


def _images_by_text(listing: Listing) -> dict[str, str]:
    """Returns the image of each text file that belongs to one; the first one where several images have the same text."""
    texts = {comparable(name): name for name in listing.with_suffix(".txt")}
    images: dict[str, str] = {}
    without = []
    for image in listing.images:
        places = (_text_of_image(image), _beside(image))
        found = next((text for place in places if (text := place if place in listing.files else texts.get(comparable(place)))), None)
        if found:
            images.setdefault(found, image)
        else:
            without.append(image)
    for image in without:  # texts of darknet for VOC, unless an image in images/ has them
        found = texts.get(comparable(_replace_folder(_beside(image), "jpegimages", "labels")))
        if found:
            images.setdefault(found, image)
    return images


def _unread_texts(images: Mapping[str, str], listing: Listing) -> list[Fault]:
    """Returns a fault for each text beside an image that has another one in labels/."""
    return [
        Fault("duplicate_annotation", _beside(image), f"'{image}' also has {text}, which is used")
        for text, image in images.items()
        if text != _beside(image) and _beside(image) in listing.files
    ]


def _beside(image: str) -> str:
    return image.rpartition(".")[0] + ".txt"


def _text_of_image(image: str) -> str:
    """Returns the text file of an image: in labels/ if the image is in images/, else beside it."""
    return _replace_folder(_beside(image), "images", "labels")


def _replace_folder(path: str, old: str, new: str) -> str:
    """Returns a path in which the innermost folder `old`, in any case, is renamed."""
    parts = path.split("/")
    for index in reversed(range(len(parts) - 1)):
        if parts[index].lower() == old:
            return "/".join([*parts[:index], new, *parts[index + 1 :]])
    return path


def _parse_lines(text: str, name: str, faults: list[Fault]) -> list[Line]:
    """Returns the class number and the other numbers of each line of a text."""
    lines = []
    for number, words in enumerate(map(str.split, text.splitlines()), start=1):
        if not words:
            continue
        try:
            label = assemble.parse_number(words[0])
            if label != int(label) or label < 0:
                raise ValueError(f"{assemble.quoted(words[0])} is not a class number")
            values = np.array([assemble.parse_number(word) for word in words[1:]])
            if len(values) < 4:
                raise ValueError(f"the line has {len(words)} numbers; a box has 5")
            lines.append(Line(f"{name}:{number}", int(label), values))
        except ValueError as error:
            faults.append(Fault("bad_annotation", f"{name}:{number}", str(error)))
    return lines


def _keypoint_numbers(lines: Sequence[Line], shape: tuple[int, int] | None) -> int:
    """Returns how many numbers of keypoints follow a box, by the declared `shape` of keypoints or by the numbers; 0 for polygons."""
    long = [line.values for line in lines if len(line.values) > 5]
    lengths = {len(values) for values in long}
    if shape is not None and long:
        return shape[0] * shape[1]
    if len(lengths) != 1:
        return 0
    rest, values = lengths.pop() - 4, np.stack(long)
    # Eight numbers without visibility may be two keypoints or four corners; they are read as the corners of an oriented box.
    layouts = ((3, 1),) if rest == 4 else ((3, 1), (2, MIN_POSES))
    return rest if any(rest % d == 0 and len(long) >= least and _are_keypoints(values, d) for d, least in layouts) else 0


def _are_keypoints(values_nxv: FloatArray, dimensions: int) -> bool:
    """Returns whether all points after a box are inside it or absent (0, 0), and whether their third number is a visibility."""
    box_nx4, points_nxpxd = boxes.from_yolo_cxcywh(values_nxv[:, :4]), values_nxv[:, 4:].reshape(len(values_nxv), -1, dimensions)
    near = 0.1 * values_nxv[:, None, 2:4] + 1e-3  # annotators place some points beside the box
    inside = (points_nxpxd[..., :2] >= box_nx4[:, None, :2] - near) & (points_nxpxd[..., :2] <= box_nx4[:, None, 2:] + near)
    fits = (inside | (points_nxpxd[..., :2] == 0)).all() and (values_nxv[:, 2:4] > 0).all()
    return bool(fits and (dimensions == 2 or np.isin(points_nxpxd[..., 2], (0, 1, 2)).all()))


def _parse_box(values: FloatArray, keypoint_numbers: int) -> list[float]:
    """Returns the box xyxy of a line. Raises ValueError for a number of values that is neither a box nor a polygon."""
    if len(values) in (4, 5) or len(values) == 4 + keypoint_numbers:  # the fifth is a confidence
        return list(boxes.from_yolo_cxcywh(values[:4]).tolist())
    if len(values) % 2 or keypoint_numbers:
        keypoints = f", one with keypoints {5 + keypoint_numbers}" if keypoint_numbers else ""
        raise ValueError(f"the line has {len(values) + 1} numbers; a box has 5{keypoints}")
    corners = values.reshape(-1, 2)
    return [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]


def write(annotated: AnnotatedFolder, folder: Path) -> None:
    """Writes a text for each image, data.yaml with the class names, and SPLIT.txt with the images of each split.

    Images are not copied: a text is written to labels/ if its image is in images/, else beside it. Boxes of undeclared classes
    are left out. Raises UserError for boxes in pixels if the image's size is unknown, and for an image outside the folder.
    """
    numbers = {name: number for number, name in enumerate(annotated.classes)}
    lists: dict[str, list[str]] = {}
    for entry in annotated.images:
        rows = boxes.to_yolo_cxcywh(assemble.normalized_boxes(entry)).tolist()
        lines = [" ".join(map(str, (numbers[name], *row))) for row, name in zip(rows, entry.names, strict=True) if name in numbers]
        files.write_text(folder / _text_of_image(assemble.output_path(entry)), "".join(f"{line}\n" for line in lines))
        if entry.split:
            lists.setdefault({"validation": "val"}.get(entry.split, entry.split), []).append(entry.file)
    for split, images in lists.items():
        files.write_text(folder / f"{split}.txt", "".join(f"./{image}\n" for image in images))
    paths = {split: f"{split}.txt" for split in sorted(lists)}
    content: dict[str, object] = {"path": ".", **paths, "names": dict(enumerate(annotated.classes))}
    files.write_text(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
