"""YOLO: one text file for each image, one line for each object: class number, center x, center y, width, height, in [0, 1].

(https://docs.ultralytics.com/datasets/detect). The text of images/a/b.jpg is labels/a/b.txt, or b.txt beside the image. A .yaml
file contains the class names and the images of train, val and test (folders, or text files that list images). Without one, the
class names are read from classes.txt, and folders train/, val/, test/ give the splits. A line with more numbers is a polygon, of
which the bounding box is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from imgloc import boxes, files
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, parent_folders, safe_path, split_of_folders

MAX_YAML_BYTES = 2**18  # PyYAML parses about that much in a second
MAX_LABEL_BYTES = 2**24  # of one image's text
SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
LINE = re.compile(r"\s*[0-9]+([ \t]+-?[0-9.]+([eE][-+]?[0-9]+)?){4,}\s*(\n|$)")


def recognise(folder: Path | Listing) -> bool:
    """Returns whether images have text files of numbers."""
    listing = list_folder(folder)
    texts = [text for text in map(_text_of_image, listing.images) if text in listing.files and listing.files[text][0]]
    return any(LINE.match(listing.head(text)) for text in texts[:10])


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all images of a folder that have a text file, and texts in labels/ without an image; boxes are in [0, 1].

    Classes are in the order of their numbers, and named by their numbers if no file has names. Boxes of a number without a name
    have the class "". Raises UserError if the folder does not exist, and for a convention other than edges.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    names, splits = _read_yaml_files(listing, faults)
    if not names:
        names = _read_name_list(listing)
    images = {_text_of_image(image): image for image in reversed(listing.images)}
    for text in listing.with_suffix(".txt"):
        if "labels" in text.split("/")[:-1] and text not in images and not text.endswith("classes.txt"):
            images[text] = _image_of_text(text)
    objects = []
    for text in sorted(name for name in images if name in listing.files):
        try:
            objects.append((images[text], text, *_parse_objects(listing.read_text(text, MAX_LABEL_BYTES), text, faults)))
        except ValueError as error:
            faults.append(Fault("bad_annotation", text, str(error)))
    if not names:
        names = {number: str(number) for number in sorted({number for *_, numbers in objects for number in numbers})}
    entries = []
    for image, text, rows, numbers in objects:
        unnamed = sorted(set(numbers) - set(names))
        faults += [Fault("unknown_class", text, f"class {number} has no name; {len(names)} classes have one") for number in unnamed]
        classes = tuple(names.get(number, "") for number in numbers)
        split = splits.get(image) or split_of_folders(image)
        entries.append(Annotation(image, assemble.box_array(rows), classes, relative=True, split=split, where=text))
    return assemble.merge_annotations("yolo", dict.fromkeys(names[number] for number in sorted(names)), entries, faults)


def _text_of_image(image: str) -> str:
    """Returns the text file of an image: in labels/ if the image is in images/, else beside it."""
    return _replace_folder(image, "images", "labels").rpartition(".")[0] + ".txt"


def _image_of_text(text: str) -> str:
    """Returns the image that a text file would belong to."""
    return _replace_folder(text, "labels", "images").rpartition(".")[0] + ".jpg"


def _replace_folder(path: str, old: str, new: str) -> str:
    """Returns a path in which the innermost folder `old` is renamed."""
    parts = path.split("/")
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == old:
            return "/".join([*parts[:index], new, *parts[index + 1 :]])
    return path


def _parse_objects(text: str, name: str, faults: list[Fault]) -> tuple[list[list[float]], list[int]]:
    """Returns the boxes xyxy and the class numbers of one text."""
    rows, numbers = [], []
    for line, words in enumerate(map(str.split, text.splitlines()), start=1):
        if not words:
            continue
        try:
            number = assemble.parse_number(words[0])
            if number != int(number) or number < 0:
                raise ValueError(f"{assemble.quoted(words[0])} is not a class number")
            values = np.array([assemble.parse_number(word) for word in words[1:]])
            if len(values) in (4, 5):  # the fifth is a confidence
                box = boxes.from_yolo_cxcywh(values[:4]).tolist()
            elif len(values) >= 6 and len(values) % 2 == 0:
                box = [*values.reshape(-1, 2).min(axis=0).tolist(), *values.reshape(-1, 2).max(axis=0).tolist()]
            else:
                raise ValueError(f"the line has {len(words)} numbers; a box has 5")
        except ValueError as error:
            faults.append(Fault("bad_annotation", f"{name}:{line}", str(error)))
            continue
        rows.append(box)
        numbers.append(int(number))
    return rows, numbers


def _read_yaml_files(listing: Listing, faults: list[Fault]) -> tuple[dict[int, str], dict[str, str]]:
    """Returns class names by number and splits by image, from the outermost yaml file that has class names."""
    names: dict[int, str] = {}
    splits: dict[str, str] = {}
    first = ""
    for file in sorted(listing.with_suffix(".yaml", ".yml"), key=lambda file: (file.count("/"), file)):
        try:
            content = _parse_yaml(listing.read_text(file, MAX_YAML_BYTES))
            names_of_file = _class_names(content)
        except ValueError as error:
            faults.append(Fault("bad_annotation", file, str(error)))
            continue
        if names_of_file and not names:
            names, splits, first = names_of_file, _read_splits(content, file, listing, faults), file
        elif names_of_file and names_of_file != names:
            faults.append(Fault("bad_annotation", file, f"its class names differ from those of {first}, which are used"))
    return names, splits


def _parse_yaml(text: str) -> Mapping[str, object]:
    """Returns the mapping of a yaml file, with all scalars as text (a class may be called `no`). Raises ValueError otherwise."""
    try:
        # BaseLoader makes nothing but text, lists and dicts, and merges nothing.
        content = yaml.load(text, Loader=yaml.BaseLoader)
    except Exception as error:  # PyYAML also raises errors of other types for damaged files
        raise ValueError(f"it is not YAML: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise ValueError("it is not a mapping of keys to values")
    return content


def _class_names(content: Mapping[str, object]) -> dict[int, str]:
    """Returns class names by number, from a list or from a mapping of numbers. Raises ValueError for other values of `names`."""
    value = content.get("names", [])
    pairs = list(enumerate(value)) if isinstance(value, list) else list(value.items()) if isinstance(value, dict) else None
    if pairs is None or not all(re.fullmatch("[0-9]{1,6}", str(number)) for number, _ in pairs):
        raise ValueError("`names` is neither a list of names nor a mapping of numbers to names")
    return {int(number): assemble.parse_class_name(name) for number, name in pairs}


def _read_splits(content: Mapping[str, object], name: str, listing: Listing, faults: list[Fault]) -> dict[str, str]:
    """Returns the split of each image that the paths in a yaml file lead to."""
    root = content.get("path")
    root = safe_path(root) if isinstance(root, str) else None
    parents = list(parent_folders(name))
    bases = [f"{parent}/{root}".strip("/") for parent in parents if root] + parents
    splits: dict[str, str] = {}
    for key in ("test", "val", "valid", "validation", "train"):  # an image that is scored is not trained on
        value = content.get(key, [])
        seen = set()
        for entry in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
            if entry == "":
                continue
            # Roboflow writes ../train for a folder beside the yaml file.
            path = "" if entry in (".", "./") else safe_path(re.sub(r"^(\.\./)+", "", entry)) if isinstance(entry, str) else None
            if path in seen:
                continue
            if path is None:
                faults.append(Fault("outside_folder", name, f"{key}: {assemble.quoted(entry)} is not a path inside the data's folder"))
                continue
            seen.add(path)
            for image in _images_at([f"{base}/{path}".strip("/") for base in bases], listing, faults):
                if splits.setdefault(image, SPLITS[key]) != SPLITS[key]:
                    what = f"{assemble.quoted(image)} is in {splits[image]} and in {SPLITS[key]}; it is used for {splits[image]}"
                    faults.append(Fault("duplicate_image", name, what))
    return splits


def _images_at(candidates: Sequence[str], listing: Listing, faults: list[Fault]) -> Iterator[str]:
    """Yields the images of the first candidate that is a folder with images, or a text file that lists images."""
    for path in candidates:
        if path in listing.files:
            yield from _listed_images(path, listing, faults)
            return
        images = listing.images_below(path)
        if images:
            yield from images
            return


def _listed_images(path: str, listing: Listing, faults: list[Fault]) -> Iterator[str]:
    lines = assemble.read_text(path, listing, faults).splitlines()
    for number, line in enumerate(map(str.strip, lines), start=1):
        image = listing.find_image(line, parent_folders(path)) if line else ""
        if image is None:
            faults.append(assemble.outside_fault(f"{path}:{number}", line))
        elif image:
            yield image


def _read_name_list(listing: Listing) -> dict[int, str]:
    """Returns class names by number from classes.txt (LabelImg) or a file *.names (darknet)."""
    for file in listing.with_suffix("classes.txt", ".names"):
        try:
            lines = [line.strip() for line in listing.read_text(file, MAX_YAML_BYTES).splitlines()]
        except ValueError:
            continue
        return {number: line for number, line in enumerate(lines) if line.isprintable() and line}
    return {}


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
