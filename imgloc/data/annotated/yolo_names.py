"""What the files beside YOLO's texts declare: class names, and the split of each image."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.image_lists import listed_images, splits_of_lists
from imgloc.data.annotated.listing import Listing, parent_folders, safe_path
from imgloc.errors import listed

MAX_YAML_BYTES = 2**18  # PyYAML parses about that much in a second
NAMES = re.compile(r"^[\s{\"']*names\b", re.MULTILINE)  # the key of class names
OWN = ("data.yaml", "dataset.yaml")  # the usual names of YOLO's own file
MANY = 1000  # levels of folders
MAX_NAMED = 5  # classes in a message
SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Declared:
    """What one file declares."""

    file: str
    names: Mapping[int, str] = field(default_factory=dict)  # of classes, by number
    splits: Mapping[str, str] = field(default_factory=dict)  # by image
    keypoints: tuple[int, int] | None = None  # their number, and the numbers of each


def read_declared(listing: Listing, texts: Sequence[str], faults: list[Fault]) -> Declared:
    """Returns the class names and the splits of a data set; `texts` are the files with the boxes of its images.

    Class names are those of the first of: data.yaml or the outermost yaml file that has some; darknet's `*.data` file; `classes.txt`,
    the nearest to the texts; `*.names`. Another of the files with other names is a fault, except that a `*.data` file chooses among
    `*.names`.
    Splits are those of the first yaml or `*.data` file that has some, else of lists named after splits.
    """
    data_files = list(_read_data_files(listing, faults))
    declared = [*_read_yaml_files(listing, faults), *data_files]
    lists = list(_name_lists(listing, texts, faults))
    if any(each.names for each in data_files):
        lists = [each for each in lists if not each.file.endswith(".names")]
    named = [each for each in (*declared, *lists) if each.names]
    first = named[0] if named else Declared("")
    for other in named[1:]:
        if first.names.items() <= other.names.items():  # LabelImg lists the classes that it has met so far
            first = other
        elif not other.names.items() <= first.names.items():
            what = f"its class names ({_shown(other)}) differ from those of {first.file} ({_shown(first)}), which are used"
            faults.append(Fault("conflicting_names", other.file, what))
    splits = next((each.splits for each in declared if each.splits), None) or splits_of_lists(listing, faults)
    keypoints = next((each.keypoints for each in declared if each.keypoints), None)
    return Declared(first.file, first.names, splits, keypoints)


def _shown(declared: Declared) -> str:
    return listed([declared.names[number] for number in sorted(declared.names)], MAX_NAMED)


def _read_yaml_files(listing: Listing, faults: list[Fault]) -> Iterator[Declared]:
    """Yields what each yaml file with class names declares, files of the usual names first, then the outermost."""
    order = sorted(listing.with_suffix(".yaml", ".yml"), key=lambda file: (not _is_own(file), file.count("/"), file))
    for file in order:
        try:
            content = _parse_yaml(assemble.load_text(file, listing, faults, MAX_YAML_BYTES))
            names = _class_names(content)
        except ValueError as error:
            if NAMES.search(listing.head(file)) or _is_own(file):  # others are of other programs
                faults.append(Fault("bad_file", file, str(error)))
            continue
        if names:
            splits = _read_splits(content, file, listing, faults)
            yield Declared(file, names, splits, _keypoint_shape(content))


def _is_own(file: str) -> bool:
    return file.rpartition("/")[2].lower() in OWN


def _keypoint_shape(content: Mapping[str, object]) -> tuple[int, int] | None:
    """Returns the number of keypoints and of their numbers in a yaml file (`kpt_shape: [17, 3]`), if it has them."""
    shape = content.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and all(isinstance(part, str) and part.isdecimal() and len(part) < 5 for part in shape):
        return int(shape[0]), int(shape[1])
    return None


def _read_data_files(listing: Listing, faults: list[Fault]) -> Iterator[Declared]:
    """Yields what each of darknet's *.data files declares: `names`, and the lists of images `train`, `valid` and `test`."""
    for file in listing.with_suffix(".data"):
        text = assemble.read_text(file, listing, faults)
        pairs = [line.partition("=") for line in text.splitlines() if "=" in line]
        content = {key.strip(): value.strip() for key, _, value in pairs if value.strip()}
        if not {"names", "train"} & set(content):
            continue  # a file of another kind
        names: dict[int, str] = {}
        if "names" in content:
            path = safe_path(content["names"])
            found = next((base for base in _bases(file, path) if base in listing.files), None) if path else None
            if found is None:
                what = f"`names` is {assemble.quoted(content['names'])}, a file that does not exist"
                faults.append(Fault("bad_file", file, what))
            else:
                names = _name_list(found, listing, faults)
        yield Declared(file, names, _read_splits(content, file, listing, faults))


def _bases(file: str, path: str) -> Iterator[str]:
    """Yields the places of a path that a file names: beside it, and in each folder above it."""
    parts = path.split("/")
    for start in range(len(parts)):  # the data folder may be below the one that the path starts from
        for parent in parent_folders(file):
            yield "/".join(filter(None, (parent, *parts[start:])))


def _parse_yaml(text: str) -> Mapping[str, object]:
    """Returns the mapping of a yaml file, with all scalars as text (a class may be called `no`); of a list, an empty one.

    Raises ValueError for other content.
    """
    try:
        # BaseLoader makes nothing but text, lists and dicts, and merges nothing.
        content = yaml.load(text, Loader=yaml.BaseLoader)
    except Exception as error:  # PyYAML also raises errors of other types for damaged files
        raise ValueError(f"it is not YAML: {type(error).__name__}") from error
    if isinstance(content, list):  # of some other program
        return {}
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
            lists = [base for base in _bases(name, path) if base in listing.files]  # CVAT writes data/train.txt for a list beside obj.data
            images = list(_images_at([*(f"{base}/{path}".strip("/") for base in bases), *lists], listing, faults))
            if not any(image in listing.files for image in images):
                faults.append(Fault("unmatched_list", name, f"{key}: {assemble.quoted(entry)} leads to no image in the data's folder"))
            for image in images:
                if splits.setdefault(image, SPLITS[key]) != SPLITS[key]:
                    what = f"{assemble.quoted(image)} is in {splits[image]} and in {SPLITS[key]}; it is used for {splits[image]}"
                    faults.append(Fault("duplicate_image", name, what))
    return splits


def _images_at(candidates: Sequence[str], listing: Listing, faults: list[Fault]) -> Iterator[str]:
    """Yields the images of the first candidate that is a folder with images, or a text file that lists images."""
    for path in candidates:
        if path in listing.files:
            yield from listed_images(path, listing, faults)
            return
        images = listing.images_below(path)
        if images:
            yield from images
            return


def _name_list(file: str, listing: Listing, faults: list[Fault]) -> dict[int, str]:
    """Returns class names by number from a file with a name on each line."""
    try:
        lines = assemble.load_text(file, listing, faults, MAX_YAML_BYTES).splitlines()
    except ValueError as error:
        faults.append(Fault("bad_file", file, str(error)))
        return {}
    names = {}
    for number, line in enumerate(lines):
        with contextlib.suppress(ValueError):  # the number of a blank or unprintable line has no name
            names[number] = assemble.parse_class_name(line)
    return names


def _name_lists(listing: Listing, texts: Sequence[str], faults: list[Fault]) -> Iterator[Declared]:
    """Yields the class names of classes.txt (LabelImg), *.names or *.labels (Roboflow), the file nearest to the texts of images first."""
    folders = {text.rpartition("/")[0] for text in texts}

    def distance(file: str) -> tuple[int, str]:
        folder = file.rpartition("/")[0]
        levels = [list(parent_folders(f"{own}/x")).index(folder) for own in folders if folder in parent_folders(f"{own}/x")]
        return min(levels, default=MANY), file

    by_kind = (
        [file for file in listing.with_suffix("classes.txt") if file.rpartition("/")[2].lower() == "classes.txt"],
        listing.with_suffix(".names"),
        listing.with_suffix("_darknet.labels"),
    )
    for files in by_kind:
        lists = [Declared(file, _name_list(file, listing, faults)) for file in sorted(files, key=distance)]
        yield from (each for each in lists if each.names)
