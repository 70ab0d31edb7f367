"""A folder of images with annotations in any format of `imgloc.data.formats`, or with one folder for each class."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from imgloc import boxes as box_arithmetic
from imgloc import files
from imgloc.data.annotated import truth
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder
from imgloc.data.annotated.reader import read_folder
from imgloc.data.checks.folder import Findings, check_folder, sort_faults
from imgloc.data.images import decode
from imgloc.data.images.headers import read_file, read_file_header
from imgloc.data.images.picture import Picture
from imgloc.errors import UnreadableImage, UserError, listed, unknown
from imgloc.types import Example, FloatArray, Info, IntArray, Truth

SPLITS = ("train", "validation", "test")
MAX_HEADERS = 2000  # image files whose headers determine what boxes refer to
MAX_NAMED = 8  # classes in a line
SEE_CHECK = "; `imgloc data check` reports what is wrong"


def source(
    split: str, *, seed: int, folder: str = "", format: str = "", convention: str = "", class_attribute: str = "",  # noqa: A002
    validation: float = 0.1, test: float = 0.2, classes: Sequence[str] = (), channels: int = 3, follow_links: bool = False,
    without_objects: bool = False,
) -> Folder:  # fmt: skip
    """A split (train, validation, test) of a folder's annotated images, the same for every seed.

    `format` is one of `imgloc.data.formats` (empty: detected), and `convention` the meaning of its numbers (see there).
    `class_attribute` is the attribute of objects that is their class, for formats with several (VIA).
    Splits that the files specify are used. If they specify no validation or test split, about these shares of the training images
    (of all images if they specify no split) are taken, by a hash of each image's group, which does not change when images are added.
    If the files specify training images, images without a split are excluded.
    `follow_links` reads symbolic links that lead outside the folder; run folders of imgloc inside it are not read.
    `classes` selects classes and their order; boxes of other classes and images without a class (no label and no boxes) are excluded.
    `without_objects` keeps images without a class, with the label -1, for tasks that learn all objects.
    Raises UserError if the folder, its format, one of `classes` or an image for the split is missing.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if not folder:
        raise UserError("data.options.folder is empty; set it to a folder with images and their annotations")
    if channels not in (1, 3):
        raise UserError(f"data.options.channels must be 3 (RGB) or 1 (grayscale), got {channels}")
    if min(validation, test) < 0 or validation + test >= 1:
        shares = f"got {validation:g} and {test:g}"
        raise UserError(f"data.options.validation and data.options.test must be at least 0 with a sum below 1, {shares}")
    listing = list_folder(Path(folder), follow_links=follow_links)
    annotated = read_folder(listing, format=format, convention=convention, class_attribute=class_attribute)
    cut = {"validation": validation, "test": test}
    return make_split(annotated, listing, split, cut=cut, classes=classes, channels=channels, without_objects=without_objects)


def make_split(
    annotated: AnnotatedFolder, listing: Listing, split: str, *, cut: Mapping[str, float], classes: Sequence[str], channels: int,
    without_objects: bool = False,
) -> Folder:  # fmt: skip
    """A split of an annotated folder; `cut` is the share of training images that become validation and test. See `source`."""
    for name in classes:
        if name not in annotated.classes:
            raise unknown("class (data.options.classes)", name, annotated.classes)
    chosen = tuple(classes) or annotated.classes
    numbers = {name: number for number, name in enumerate(chosen)}
    known_splits = {entry.split for entry in annotated.images}
    unlabelled = {entry.file for entry in annotated.images if _class_of(entry, numbers) is None}
    present = [entry for entry in annotated.images if listing.status(entry.file)]
    usable = [entry for entry in present if entry.file not in unlabelled or (without_objects and not entry.label)]
    entries = tuple(entry for entry in usable if assigned_split(entry, known_splits, cut) == split)
    if not entries:
        raise UserError(_no_images(split, str(listing.root), annotated, usable, known_splits, cut))
    sizes = [status[0] for entry in entries if (status := listing.status(entry.file))]
    fingerprint = _fingerprint(split, chosen, channels, entries, sizes)
    # File names are not unique across folders. The size is a cheap distinction that does not depend on the folder's path.
    entries = tuple(replace(entry, group=entry.group or f"{entry.file} ({size} bytes)") for entry, size in zip(entries, sizes, strict=True))
    return Folder(str(listing.root), split, entries, chosen, channels, fingerprint, not any(entry.file in unlabelled for entry in entries))


def check_data(
    *, thorough: bool, folder: str = "", format: str = "", convention: str = "", class_attribute: str = "",  # noqa: A002
    validation: float = 0.1, test: float = 0.2, follow_links: bool = False, without_objects: bool = False, **others: object,
) -> Findings:  # fmt: skip
    """The faults of the files that `source` reads with the same options; see `imgloc.data.checks.folder`."""
    listing = list_folder(Path(folder), follow_links=follow_links)
    annotated = read_folder(listing, format=format, convention=convention, class_attribute=class_attribute)
    known_splits, shares = {entry.split for entry in annotated.images}, {"validation": validation, "test": test}
    numbers = {name: number for number, name in enumerate(annotated.classes)}
    used = [entry for entry in annotated.images if _class_of(entry, numbers) is not None or (without_objects and not entry.label)]
    splits = {entry.file: assigned_split(entry, known_splits, shares) for entry in used}
    assigned = {file: split for file, split in splits.items() if split}
    findings = check_folder(annotated, listing, assigned, convention=convention, thorough=thorough)
    findings = replace(findings, recognised=_recognised(annotated, Counter(assigned.values())))
    unlisted = [file for file, split in splits.items() if not split and listing.status(file)]
    if unlisted:
        what = f"{len(unlisted):,} of {len(splits):,} images are in no list and no folder of a split"
        findings = replace(findings, faults=sort_faults([*findings.faults, Fault("unlisted_image", unlisted[0], what)]))
    if not thorough or any(split == "train" and listing.status(file) for file, split in assigned.items()):
        return findings  # training itself reports an empty split
    usable = [entry for entry in annotated.images if listing.status(entry.file) and entry.file in splits]
    why = _no_images("train", folder, annotated, usable, known_splits, shares).removesuffix(SEE_CHECK)
    return replace(findings, faults=sort_faults([*findings.faults, Fault("nothing_to_train", ".", why)]))


def _recognised(annotated: AnnotatedFolder, sizes: Mapping[str, int]) -> str:
    splits = ", ".join(f"{split} {sizes[split]:,}" for split in SPLITS if sizes.get(split))
    count = f"{len(annotated.classes)} class{'' if len(annotated.classes) == 1 else 'es'}"
    return f"read as {annotated.format}: {splits or 'no images'}; {count} ({listed(annotated.classes, MAX_NAMED)})"


def assigned_split(entry: Annotation, known_splits: set[str], shares: Mapping[str, float]) -> str:
    """The split of an image: that of its annotation, or chosen by a hash of its group; empty for none.

    `known_splits` are the splits of all annotations.
    """
    training = entry.split == "train" or (entry.split == "" and "train" not in known_splits)
    if not training:
        return entry.split
    digest = hashlib.sha256((entry.group or entry.file).encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    # A split that the annotations specify takes no images from train, and the other split does not change.
    if place < shares["test"]:
        return "test" if "test" not in known_splits else "train"
    if place < shares["test"] + shares["validation"]:
        return "validation" if "validation" not in known_splits else "train"
    return "train"


def _class_of(entry: Annotation, numbers: Mapping[str, int]) -> int | None:
    """The number of an image's class: its label, or else the class of its largest box among known classes; None if there is none."""
    if entry.label:
        return numbers.get(entry.label)
    labels = [numbers.get(name) for name in entry.names]
    areas = box_arithmetic.area(entry.boxes_nx4)
    known = [(-float(area), place, label) for place, (area, label) in enumerate(zip(areas, labels, strict=True)) if label is not None]
    return min(known)[2] if known else None


def _no_images(
    split: str, folder: str, annotated: AnnotatedFolder, usable: Sequence[Annotation], known_splits: set[str], shares: Mapping[str, float]
) -> str:
    """The reason why a split has no images, in one line."""
    images = annotated.images
    if not images:
        first = next((f" ({fault.where}: {fault.what})" for fault in annotated.faults if fault.kind == "foreign_format"), "")
        return f"no annotated image in '{folder}'{first}{SEE_CHECK}"
    if not usable:
        return f"none of the {len(images)} annotated images of '{folder}' exists and has a class, such as '{images[0].file}'{SEE_CHECK}"
    counts = Counter(assigned_split(entry, known_splits, shares) for entry in usable)
    listing = ", ".join(f"{name or 'in no split'}: {count}" for name, count in sorted(counts.items()))
    drawn = {entry.group or entry.file for entry in usable if assigned_split(entry, known_splits, {"validation": 0, "test": 0}) == "train"}
    remedy = ""
    if split not in known_splits and not shares.get(split, 1):
        remedy = f"; data.options.{split} is the share of images for it"
    elif drawn and (split == "train" or split not in known_splits):
        there = "is one group" if len(drawn) == 1 else f"are {len(drawn)}"
        remedy = f"; splits are drawn by groups of images, and there {there}: put the images of each split into a folder train, val or test"
    return f"split '{split}' of '{folder}' has no images ({listing}){remedy}"


def _fingerprint(split: str, classes: Sequence[str], channels: int, entries: Sequence[Annotation], sizes: Sequence[int]) -> str:
    """A hash of the annotations and file sizes. It is cheap, but pixels that change without changing the size are not detected."""
    state = hashlib.sha256(repr(("folder", split, list(classes), channels)).encode())
    for entry, size in zip(entries, sizes, strict=True):
        plain = replace(entry, boxes_nx4=np.zeros(0), where="", split="")
        state.update(repr((size, plain)).encode())
        state.update(entry.boxes_nx4.tobytes())
        if any(entry.difficult) or entry.crowd_names:
            state.update(repr((entry.difficult, entry.crowd_names)).encode() + entry.crowd_boxes_mx4.tobytes())
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
    all_labelled: bool = True
    whole: tuple[Annotation, ...] = ()  # the entries of the split of which these are selected; empty: these

    @cached_property
    def info(self) -> Info:
        has_boxes = any(name in self._numbers for entry in self.entries for name in entry.names)
        return Info(classes=self.classes, channels=self.channels, has_boxes=has_boxes, all_labelled=self.all_labelled)

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
        """See `imgloc.types.TruthKnown`: only the header of the image is read."""
        entry = self.entries[index]
        picture = read_file_header(Path(self.root), entry.file)
        objects = self._objects(entry, picture)
        width, height = picture.upright_size
        return Truth(label=self._label(entry, objects), id=entry.file, width=width, height=height, **objects._asdict())

    def object_counts(self) -> IntArray:
        """See `imgloc.types.ObjectsCounted`."""
        return np.array([sum(name in self._numbers for name in entry.names) for entry in self.entries], np.int64)

    def selected(self, choose: Callable[[int], IntArray]) -> Folder:
        """See `imgloc.types.Selectable`."""
        indices = choose(len(self.entries)).tolist()
        entries, fingerprint = tuple(self.entries[i] for i in indices), files.fingerprint(["selected", self.fingerprint, indices])
        return replace(self, entries=entries, fingerprint=fingerprint, whole=self.whole or self.entries)

    def _example(self, entry: Annotation, at_least: tuple[int, int] | None) -> Example:
        try:
            picture = decode.decode_image(read_file(self.root, entry.file), channels=self.channels, at_least=at_least)
        except UserError as error:
            raise UnreadableImage(f"{entry.file}: {error}") from error
        objects = self._objects(entry, picture)
        return Example(
            image_hxwxc=picture.pixels_hxwxc,
            label=self._label(entry, objects),
            id=entry.file,
            group=entry.group,
            upright_size=picture.upright_size,
            **objects._asdict(),
        )

    def upright_boxes(self, index: int, boxes_nx4: FloatArray) -> FloatArray:
        """Returns boxes in the units of an image's annotation as boxes in [0, 1] of the upright image, clipped to it."""
        entry = self.entries[index]
        picture = read_file_header(Path(self.root), entry.file)
        stored_pixels = picture.orientation > 1 and self._stored_pixels
        return truth.upright_boxes(np.asarray(boxes_nx4, np.float64), entry, picture, stored_pixels)

    def _objects(self, entry: Annotation, picture: Picture) -> truth.Objects:
        stored_pixels = picture.orientation > 1 and self._stored_pixels
        return truth.objects_of(entry, picture, self._numbers, stored_pixels=stored_pixels)

    @cached_property
    def _stored_pixels(self) -> bool:
        """Whether boxes refer to stored pixels, by the first image that EXIF turns by 90 degrees and whose annotated size shows it."""
        for entry in [entry for entry in self.whole or self.entries if entry.width and not entry.relative][:MAX_HEADERS]:
            with contextlib.suppress(UnreadableImage):
                refers = truth.refers_to_stored(entry, read_file_header(Path(self.root), entry.file))
                if refers is not None:
                    return refers
        return False

    def _label(self, entry: Annotation, objects: truth.Objects) -> int:
        if not entry.label and len(objects.boxes_nx4):
            return int(objects.labels_n[box_arithmetic.largest(objects.boxes_nx4)])
        label = _class_of(entry, self._numbers)
        return -1 if label is None else label
