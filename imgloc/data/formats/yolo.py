"""YOLO: a text file an image, a line an object: class number, middle x, middle y, width, height, in [0, 1] of the image's sides.

(https://docs.ultralytics.com/datasets/detect). images/a/b.jpg has labels/a/b.txt, or b.txt lies beside it. Names of classes, and
which images are train, val and test (folders, or text files that list images), stand in a .yaml file; without one, names
stand in classes.txt, and folders train/, val/, test/ tell splits. A line with more numbers is a polygon, whose box is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from imgloc import boxes, files
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import Listing, folders_of, inside, list_folder, split_of_folders

LARGEST_YAML = 2**18  # bytes; PyYAML reads about that much a second
LARGEST_LABELS = 2**24  # bytes of one image's text
SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
LINE = re.compile(r"\s*[0-9]+([ \t]+-?[0-9.]+([eE][-+]?[0-9]+)?){4,}\s*(\n|$)")


def recognise(folder: Path | Listing) -> bool:
    """Whether there are text files of numbers that belong to images."""
    listing = list_folder(folder)
    found = [text for text in map(_labels_of, listing.images) if text in listing.files and listing.files[text][0]]
    return any(LINE.match(listing.head(text)) for text in found[:10])


def read(folder: Path | Listing, *, convention: str = "") -> Annotated:
    """All images of a folder that have a text file, and texts in labels/ that have no image; boxes in [0, 1].

    Classes are in the order of their numbers, which are their names where no file says them. Boxes of a number without a name
    have the class "". Raises UserError for no such folder, and for a convention other than edges.
    """
    assemble.only_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    names, splits = _from_yaml(listing, faults)
    if not names:
        names = _from_text(listing)
    images = {_labels_of(image): image for image in reversed(listing.images)}
    for text in listing.ending(".txt"):
        if "labels" in text.split("/")[:-1] and text not in images and not text.endswith("classes.txt"):
            images[text] = _images_of(text)
    found = []
    for text in sorted(name for name in images if name in listing.files):
        try:
            found.append((images[text], text, *_objects(listing.read_text(text, LARGEST_LABELS), text, faults)))
        except ValueError as error:
            faults.append(Fault("bad_annotation", text, str(error)))
    if not names:
        names = {number: str(number) for number in sorted({number for *_, numbers in found for number in numbers})}
    entries = []
    for image, text, rows, numbers in found:
        unnamed = sorted(set(numbers) - set(names))
        faults += [Fault("unknown_class", text, f"class {number} has no name; {len(names)} have one") for number in unnamed]
        given = tuple(names.get(number, "") for number in numbers)
        split = splits.get(image) or split_of_folders(image)
        entries.append(Annotation(image, assemble.box_array(rows), given, relative=True, split=split, where=text))
    return assemble.assembled("yolo", dict.fromkeys(names[number] for number in sorted(names)), entries, faults)


def _labels_of(image: str) -> str:
    """The text file of an image: in labels/ where the image is in images/, else beside it."""
    return "/".join(_exchanged(image, "images", "labels")).rpartition(".")[0] + ".txt"


def _images_of(text: str) -> str:
    """The image that a text file would belong to."""
    return "/".join(_exchanged(text, "labels", "images")).rpartition(".")[0] + ".jpg"


def _exchanged(path: str, last: str, by: str) -> list[str]:
    """A path's parts with the last folder of one name renamed."""
    parts = path.split("/")
    for place in reversed(range(len(parts) - 1)):
        if parts[place] == last:
            return [*parts[:place], by, *parts[place + 1 :]]
    return parts


def _objects(text: str, name: str, faults: list[Fault]) -> tuple[list[list[float]], list[int]]:
    """Boxes xyxy and class numbers of one text."""
    rows, numbers = [], []
    for line, words in ((line, words.split()) for line, words in enumerate(text.splitlines(), start=1)):
        if not words:
            continue
        try:
            number = assemble.number(words[0])
            if number != int(number) or number < 0:
                raise ValueError(f"{assemble.brief(words[0])} is no number of a class")
            values = np.array([assemble.number(word) for word in words[1:]])
            if len(values) in (4, 5):  # with a confidence behind
                box = boxes.from_yolo_cxcywh(values[:4]).tolist()
            elif len(values) >= 6 and len(values) % 2 == 0:
                box = [*values.reshape(-1, 2).min(axis=0).tolist(), *values.reshape(-1, 2).max(axis=0).tolist()]
            else:
                raise ValueError(f"it has {len(words)} numbers; a box has 5")
        except ValueError as error:
            faults.append(Fault("bad_annotation", f"{name}:{line}", str(error)))
            continue
        rows.append(box)
        numbers.append(int(number))
    return rows, numbers


def _from_yaml(listing: Listing, faults: list[Fault]) -> tuple[dict[int, str], dict[str, str]]:
    """Names by class number, and the splits of images, from the first yaml file (the highest up) that names classes."""
    chosen: dict[int, str] = {}
    splits: dict[str, str] = {}
    first = ""
    for name in sorted(listing.ending(".yaml", ".yml"), key=lambda name: (name.count("/"), name)):
        try:
            content = _parsed(listing.read_text(name, LARGEST_YAML))
            names = _names(content)
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, str(error)))
            continue
        if not names:
            continue
        if not chosen:
            chosen, splits, first = names, _splits(content, name, listing, faults), name
        elif names != chosen:
            faults.append(Fault("bad_annotation", name, f"it names other classes than {first}, which is used"))
    return chosen, splits


def _parsed(text: str) -> dict[str, Any]:
    """A yaml file's mapping, every scalar as text (a class may be called `no`). Raises ValueError where it has none."""
    try:
        # The loader that makes nothing but text, lists and dicts, and merges nothing.
        content = yaml.load(text, Loader=yaml.BaseLoader)
    except Exception as error:  # PyYAML raises other types too for damaged files
        raise ValueError(f"no YAML: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise ValueError("it holds no keys and values")
    return content


def _names(content: dict[str, Any]) -> dict[int, str]:
    """Classes by number: of a list, or of a dict by number. Raises ValueError where `names` is something else."""
    given = content.get("names", [])
    pairs = list(enumerate(given)) if isinstance(given, list) else list(given.items()) if isinstance(given, dict) else None
    if pairs is None or not all(re.fullmatch("[0-9]{1,6}", str(number)) for number, _ in pairs):
        raise ValueError("`names` is no list of names, nor names by number")
    return {int(number): assemble.class_name(name) for number, name in pairs}


def _splits(content: dict[str, Any], name: str, listing: Listing, faults: list[Fault]) -> dict[str, str]:
    """The split of each image that the paths in a yaml file reach."""
    bases = list(folders_of(name))
    root = inside(content["path"]) if isinstance(content.get("path"), str) else None
    bases = [f"{base}/{root}".strip("/") for base in bases if root] + bases
    found: dict[str, str] = {}
    for key in ("test", "val", "valid", "validation", "train"):  # what is scored comes first: an image in both is not trained on
        given = content.get(key, [])
        seen = set()
        for said in [given] if isinstance(given, str) else given if isinstance(given, list) else []:
            if said == "":
                continue
            here = said in (".", "./")
            path = "" if here else inside(re.sub(r"^(\.\./)+", "", said)) if isinstance(said, str) else None  # Roboflow says ../train
            if path in seen:
                continue
            if path is None:
                faults.append(Fault("outside_folder", name, f"{key}: {assemble.brief(said)} is no place in the data's folder"))
                continue
            seen.add(path)
            for image in _reached([f"{base}/{path}".strip("/") for base in bases], listing, faults):
                if found.setdefault(image, SPLITS[key]) != SPLITS[key]:
                    what = f"{assemble.brief(image)} is in {found[image]} and in {SPLITS[key]}; it counts for {found[image]}"
                    faults.append(Fault("duplicate_image", name, what))
    return found


def _reached(candidates: Sequence[str], listing: Listing, faults: list[Fault]) -> Iterator[str]:
    """The images of the first of these that is a folder with images, or a text file that lists some."""
    for path in candidates:
        if path in listing.files:
            yield from _listed(path, listing, faults)
            return
        within = listing.images_below(path)
        if within:
            yield from within
            return


def _listed(path: str, listing: Listing, faults: list[Fault]) -> Iterator[str]:
    try:
        lines = listing.read_text(path).splitlines()
    except ValueError as error:
        faults.append(Fault("bad_annotation", path, str(error)))
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            image = listing.find(line.strip(), list(folders_of(path)))
            if image is None:
                what = f"{assemble.brief(line.strip())} is no file of the data's folder"
                faults.append(Fault("outside_folder", f"{path}:{number}", what))
            else:
                yield image


def _from_text(listing: Listing) -> dict[int, str]:
    """Names by class number from classes.txt (LabelImg) or a file *.names (darknet)."""
    for name in listing.ending("classes.txt", ".names"):
        try:
            lines = [line.strip() for line in listing.read_text(name, LARGEST_YAML).splitlines()]
        except ValueError:
            continue
        return {number: line for number, line in enumerate(lines) if line.isprintable() and line}
    return {}


def write(annotated: Annotated, folder: Path) -> None:
    """Annotations as YOLO: a text file an image, data.yaml with the names, and SPLIT.txt with the images of each split.

    Images are not copied: their text goes to labels/ where they are in images/, else beside them. Boxes of classes that are not
    declared are left out. Raises UserError for boxes in pixels of an unknown size, and for a file outside the folder.
    """
    numbers = {name: number for number, name in enumerate(annotated.classes)}
    lists: dict[str, list[str]] = {}
    for entry in annotated.images:
        rows = boxes.to_yolo_cxcywh(assemble.in_unit(entry)).tolist()
        lines = [" ".join(map(str, (numbers[name], *row))) for row, name in zip(rows, entry.names, strict=True) if name in numbers]
        files.write_text(folder / _labels_of(assemble.file_to_write(entry)), "".join(f"{line}\n" for line in lines))
        if entry.split:
            lists.setdefault({"validation": "val"}.get(entry.split, entry.split), []).append(entry.file)
    for split, images in lists.items():
        files.write_text(folder / f"{split}.txt", "".join(f"./{image}\n" for image in images))
    paths = {split: f"{split}.txt" for split in sorted(lists)}
    content: dict[str, Any] = {"path": ".", **paths, "names": dict(enumerate(annotated.classes))}
    files.write_text(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
