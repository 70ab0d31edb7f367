"""A folder of one's own: images with annotations in any format of `imgloc.data.formats`, or in a folder for each class."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from imgloc import boxes as box_arithmetic
from imgloc.data.annotated import truth
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder
from imgloc.data.annotated.reader import read_folder
from imgloc.data.checks.folder import Findings, check_folder, in_order
from imgloc.data.images import decode
from imgloc.data.images.headers import read_file, read_file_header
from imgloc.errors import UnreadableImage, UserError, unknown
from imgloc.types import Example, FloatArray, Info, IntArray, Truth

SPLITS = ("train", "validation", "test")
SEE_CHECK = "; `imgloc data check` says what is wrong with it"


def source(
    split: str, *, seed: int, folder: str = "", format: str = "", convention: str = "",  # noqa: A002
    validation: float = 0.1, test: float = 0.2, classes: Sequence[str] = (), channels: int = 3,
) -> Folder:  # fmt: skip
    """A split (train, validation, test) of a folder's annotated images, the same for every seed.

    `format` is one of `imgloc.data.formats`, recognised where empty; `convention` says what its numbers mean (see there).
    Splits are those that the files say. Of those they don't, validation and test are cut from the training images (all of
    them, where no split is said) by a hash of each one's group: about these shares, and the same images when others are added.
    Where the files say which images are for training, those they put nowhere are left out.
    `classes` chooses some, in that order; boxes of others are left out. An image of no class (without boxes or label) is too.
    Raises UserError where the folder, its format, one of `classes` or an image for the split is missing.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if not folder:
        raise UserError("config key 'data.options.folder' is empty; possible: a folder with images and their annotations")
    if channels not in (1, 3):
        raise UserError(f"config key 'data.options.channels' is {channels}; possible: 3 (RGB) or 1 (grey)")
    if min(validation, test) < 0 or validation + test >= 1:
        shares = f"data.options.validation is {validation:g} and data.options.test {test:g}"
        raise UserError(f"{shares}; possible: shares from 0 on that leave some images for training")
    listing = list_folder(Path(folder))
    annotated = read_folder(listing, format=format, convention=convention)
    return part(annotated, listing, split, cut={"validation": validation, "test": test}, classes=classes, channels=channels)


def part(annotated: Annotated, listing: Listing, split: str, *, cut: Mapping[str, float], classes: Sequence[str], channels: int) -> Folder:
    """A split of what a folder's files say; `cut`: the shares of training images that become validation and test. See `source`."""
    for name in classes:
        if name not in annotated.classes:
            raise unknown("class (data.options.classes)", name, annotated.classes)
    chosen = tuple(classes) or annotated.classes
    numbers = {name: number for number, name in enumerate(chosen)}
    said = {entry.split for entry in annotated.images}
    usable = [entry for entry in annotated.images if entry.file in listing.files and _class_of(entry, numbers) is not None]
    entries = tuple(entry for entry in usable if part_of(entry, said, cut) == split)
    if not entries:
        raise UserError(_nothing(split, str(listing.root), annotated.images, usable, said, cut))
    sizes = [listing.files[entry.file][0] for entry in entries]
    fingerprint = _fingerprint(split, chosen, channels, entries, sizes)
    # Another folder's 0001.jpg is another image: its size tells them apart, cheaply and wherever the folder lies.
    entries = tuple(replace(entry, group=entry.group or f"{entry.file} ({size} bytes)") for entry, size in zip(entries, sizes, strict=True))
    return Folder(str(listing.root), split, entries, chosen, channels, fingerprint)


def check_data(
    *, thorough: bool, folder: str = "", format: str = "", convention: str = "",  # noqa: A002
    validation: float = 0.1, test: float = 0.2, **others: object,
) -> Findings:  # fmt: skip
    """What is wrong with the files that `source` of the same options reads; see `imgloc.data.checks.folder`."""
    listing = list_folder(Path(folder))
    annotated = read_folder(listing, format=format, convention=convention)
    said, shares = {entry.split for entry in annotated.images}, {"validation": validation, "test": test}
    numbers = {name: number for number, name in enumerate(annotated.classes)}
    parts = {entry.file: part_of(entry, said, shares) for entry in annotated.images if _class_of(entry, numbers) is not None}
    known = {file: part for file, part in parts.items() if part}
    found = check_folder(annotated, listing, known, convention=convention, thorough=thorough)
    if not thorough or any(part == "train" and file in listing.files for file, part in known.items()):
        return found  # a training that begins says itself that there is nothing
    usable = [entry for entry in annotated.images if entry.file in listing.files and entry.file in parts]
    why = _nothing("train", folder, annotated.images, usable, said, shares).removesuffix(SEE_CHECK)
    return replace(found, faults=in_order([*found.faults, Fault("nothing_to_train", ".", why)]))


def part_of(entry: Annotation, said: set[str], shares: Mapping[str, float]) -> str:
    """The split of an image: as its file says, else cut by a hash of its group; "" for none. `said`: splits of any image."""
    training = entry.split == "train" or (entry.split == "" and "train" not in said)
    if not training:
        return entry.split
    digest = hashlib.sha256((entry.group or entry.file).encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < shares["test"]:  # where a part is not wanted, its images stay in train and the other part stays as it is
        return "test" if "test" not in said else "train"
    if place < shares["test"] + shares["validation"]:
        return "validation" if "validation" not in said else "train"
    return "train"


def _class_of(entry: Annotation, numbers: Mapping[str, int]) -> int | None:
    """The number of an image's own class: as it is said, else that of its largest box of a known class."""
    if entry.label:
        return numbers.get(entry.label)
    labels = [numbers.get(name) for name in entry.names]
    areas = box_arithmetic.area(entry.boxes_nx4)
    known = [(-float(area), place, label) for place, (area, label) in enumerate(zip(areas, labels, strict=True)) if label is not None]
    return min(known)[2] if known else None


def _nothing(
    split: str, folder: str, images: Sequence[Annotation], usable: Sequence[Annotation], said: set[str], shares: Mapping[str, float]
) -> str:
    """Why a split has no images, in one line."""
    if not images:
        return f"no annotated image is found in '{folder}'{SEE_CHECK}"
    if not usable:
        return (
            f"none of the {len(images)} annotated images of '{folder}' is there and has a class, the first being '{images[0].file}'"
            f"{SEE_CHECK}"
        )
    counts = Counter(part_of(entry, said, shares) for entry in usable)
    found = ", ".join(f"{name or 'in no split'}: {count}" for name, count in sorted(counts.items()))
    remedy = f"; data.options.{split} is the share of images for it" if split in shares and split not in said else ""
    return f"split '{split}' of '{folder}' has no images ({found}){remedy}"


def _fingerprint(split: str, classes: Sequence[str], channels: int, entries: Sequence[Annotation], sizes: Sequence[int]) -> str:
    """A hash of what is said of each image, and of each file's size: cheap, and blind to pixels that change within a size."""
    state = hashlib.sha256(repr(("folder", split, list(classes), channels)).encode())
    for entry, size in zip(entries, sizes, strict=True):
        plain = replace(entry, boxes_nx4=np.zeros(0), where="", split="")
        state.update(repr((size, plain)).encode())
        state.update(entry.boxes_nx4.tobytes())
    return state.hexdigest()[:16]


@dataclass(frozen=True)
class Folder:
    """See `source`."""

    root: str
    split: str
    entries: tuple[Annotation, ...]
    classes: tuple[str, ...]
    channels: int
    fingerprint: str

    @property
    def info(self) -> Info:
        return Info(classes=self.classes, channels=self.channels)

    @cached_property
    def groups(self) -> frozenset[str]:
        return frozenset(entry.group for entry in self.entries)

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Example:
        return self._example(self.entries[index], None)

    def reduced(self, index: int, height: int, width: int) -> Example:
        """See `imgloc.types.Reducible`."""
        return self._example(self.entries[index], (height, width))

    def known(self, index: int) -> Truth:
        """See `imgloc.types.TruthKnown`: the picture's header is read."""
        entry = self.entries[index]
        picture = read_file_header(Path(self.root), entry.file)
        boxes, labels = truth.truth(entry, picture, self._numbers)
        width, height = (picture.height, picture.width) if picture.orientation >= 5 else (picture.width, picture.height)
        return Truth(boxes, labels, self._label(entry, boxes, labels), entry.file, width, height)

    def _example(self, entry: Annotation, at_least: tuple[int, int] | None) -> Example:
        try:
            picture = decode.decode_image(read_file(self.root, entry.file), channels=self.channels, at_least=at_least)
        except UserError as error:
            raise UnreadableImage(f"{entry.file}: {error}") from error
        boxes, labels = truth.truth(entry, picture, self._numbers)
        return Example(
            image_hxwxc=picture.pixels_hxwxc,
            boxes_nx4=boxes,
            labels_n=labels,
            label=self._label(entry, boxes, labels),
            id=entry.file,
            group=entry.group,
        )

    def _label(self, entry: Annotation, boxes: FloatArray, labels: IntArray) -> int:
        if not entry.label and len(boxes):
            return int(labels[np.argmax(box_arithmetic.area(boxes))])
        label = _class_of(entry, self._numbers)
        assert label is not None, "images of no class are left out"
        return label
