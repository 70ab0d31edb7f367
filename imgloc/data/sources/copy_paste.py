"""Images made by pasting cut-out objects over backgrounds, mixed with the real training images of an annotated folder.

Objects are pasted at random places and sizes, as in Dwibedi et al., 2017 (arXiv:1708.01642), or into other training images with their
objects, as in Ghiasi et al., 2021 (arXiv:2012.07177). Training examples are endless, each a function of (seed, index). Validation and
test are the folder's own splits, and none of their images gives a cut-out or a background.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imgloc import boxes, files
from imgloc.data.annotated.annotations import AnnotatedFolder
from imgloc.data.annotated.listing import Listing, list_folder
from imgloc.data.annotated.reader import read_folder
from imgloc.data.checks.folder import Findings
from imgloc.data.cutouts import Cached, CutOutFiles, CutOutObjects
from imgloc.data.digits import ENDLESS
from imgloc.data.formats import coco
from imgloc.data.images import decode
from imgloc.data.images.headers import read_file
from imgloc.data.pasting import CutOut, Pasting, paste_objects
from imgloc.data.sources import folder as folders
from imgloc.data.sources.folder import Folder
from imgloc.data.transforms.pixels import resize_image
from imgloc.errors import UnreadableImage, UserError, listed
from imgloc.randomness import generator, permutation
from imgloc.types import NO_BOXES_0X4, NO_LABELS_0, Example, Info, IntArray, Source, Uint8Array

VERSION = 1  # of the made images: increase it when the same index gives other pixels
DRAWS = 20  # of cut-outs until one is large enough
OUTSIDE = ("cutouts", "backgrounds")


def source(
    split: str, *, seed: int, folder: str = "", format: str = "", convention: str = "", class_attribute: str = "",  # noqa: A002
    validation: float = 0.1, test: float = 0.2, classes: Sequence[str] = (), channels: int = 3, follow_links: bool = False,
    share: float = 0.5, cutouts: str = "", backgrounds: str = "", objects: tuple[int, int] = (1, 5),
    scale: tuple[float, float] = (0.1, 0.5), max_overlap: float = 0.25, hidden: float = 0.7, flip: float = 0.5, feather: float = 2.0,
    side: int = 640, own_size: bool = False, without_objects: bool = False,
) -> Source:  # fmt: skip
    """A split (train, validation, test) of an annotated folder, with made images in train. The first options are those of `folder`.

    `share` is the share of made images among those of train; 0: real images alone. `cutouts` is a folder with a folder for each class
    of images with transparency (PNG, WebP); empty: objects of the training images, cut along COCO's polygons or along their boxes.
    `backgrounds` is a folder of images without objects of these classes; empty: the training images, whose objects are kept, except
    those of which more than the share `hidden` is covered.
    `objects` is the range (low, high) of the uniform number of objects that are pasted, and `scale` of their size: the square root of
    the share of the image that a box has, log-uniform; with `own_size` it is a factor of the size that an object has in its own image,
    for objects whose size means something, such as cells under a microscope. `max_overlap` is the largest share of the smaller of two
    pasted boxes that the other may cover, `flip` the probability that an object is flipped, and `feather` the width in pixels of the
    soft edges of objects that are cut along boxes. The longer side of a made image is at most `side` pixels.
    """
    check = (("share", share, 0, 1), ("max_overlap", max_overlap, 0, 1), ("hidden", hidden, 0, 1), ("flip", flip, 0, 1))
    for name, value, low, high in (*check, ("feather", feather, 0, 100), ("side", side, 16, 4096)):
        if not low <= value <= high:
            raise UserError(f"data.options.{name} must be from {low} to {high}, got {value}")
    for name, pair, lowest, highest in (("objects", objects, 0, 1000), ("scale", scale, 0.01, 10 if own_size else 1)):
        if len(pair) != 2 or not lowest <= pair[0] <= pair[1] <= highest:
            raise UserError(f"data.options.{name} must be (low, high) from {lowest} to {highest}, got {pair}")
    if own_size and cutouts:
        raise UserError("data.options.own_size needs objects of the training images; set data.options.cutouts to ''")
    real = folders.source(
        split, seed=seed, folder=folder, format=format, convention=convention, class_attribute=class_attribute,
        validation=validation, test=test, classes=classes, channels=channels, follow_links=follow_links, without_objects=without_objects,
    )  # fmt: skip
    if split != "train":
        return real
    listing = list_folder(Path(folder), follow_links=follow_links)
    annotated = read_folder(listing, format=format, convention=convention, class_attribute=class_attribute)
    how = Pasting((int(objects[0]), int(objects[1])), (float(scale[0]), float(scale[1])), max_overlap, flip, feather, own_size)
    color = dataclasses.replace(real, channels=3)
    found = _cut_out_files(cutouts, real.classes, annotated, listing) if cutouts else _cut_out_objects(color, annotated, listing, side)
    if not len(found):
        raise UserError(f"no training image of '{folder}' has a box to cut out; set data.options.cutouts to a folder of cut-outs")
    behind = _outside_files(backgrounds, annotated, listing, "backgrounds") if backgrounds else None
    if behind is not None and not behind.files:
        raise UserError(f"data.options.backgrounds: no image in '{backgrounds}' that is not annotated in '{folder}'")
    return CopyPaste(real, color, Cached(found), behind, how, share, hidden, side, seed)


def check_data(*, thorough: bool, **options: object) -> Findings:
    """The faults of the annotated folder; see `imgloc.data.sources.folder`."""
    return folders.check_data(thorough=thorough, **options)  # type: ignore[arg-type]  # options of that source


@dataclass(frozen=True)
class Backgrounds:
    """Image files and their sizes in bytes."""

    root: str
    files: tuple[tuple[str, int], ...]


def _outside_files(folder: str, annotated: AnnotatedFolder, data: Listing, option: str) -> Backgrounds:
    """The image files of a folder without those that the data annotates: they may be of other splits, and have unlabelled objects."""
    listing = list_folder(Path(folder))
    known = {os.path.realpath(data.root / entry.file) for entry in annotated.images}
    names = [name for name in listing.images if os.path.realpath(listing.root / name) not in known]
    if not listing.images:
        raise UserError(f"data.options.{option}: no image in '{folder}'")
    return Backgrounds(str(listing.root), tuple((name, listing.files[name][0]) for name in names))


def _cut_out_files(folder: str, classes: Sequence[str], annotated: AnnotatedFolder, data: Listing) -> CutOutFiles:
    """The files in folders of classes. Raises UserError for a folder of another name."""
    outside = _outside_files(folder, annotated, data, "cutouts")
    names = {name: Path(name).parent.name for name, _ in outside.files}
    others = sorted(set(names.values()) - set(classes))
    if others or not names:
        what = f"has images in folders that are not named after a class: {listed(others, 5)}" if others else "has no images of its own"
        expected = f"put the images of each class into a folder of its name: {listed(classes, 8)}"
        raise UserError(f"data.options.cutouts: '{folder}' {what}; {expected}")
    numbers = {name: number for number, name in enumerate(classes)}
    return CutOutFiles(outside.root, tuple(names), tuple(size for _, size in outside.files), tuple(numbers[c] for c in names.values()))


def _cut_out_objects(color: Folder, annotated: AnnotatedFolder, listing: Listing, side: int) -> CutOutObjects:
    outlines = coco.read_outlines(listing, {entry.file for entry in color.entries}) if annotated.format == "coco" else {}
    return CutOutObjects(color, side, outlines)


@dataclass(frozen=True)
class CopyPaste:
    """See `source`: its training split."""

    real: Folder
    color: Folder  # the same with RGB images
    cutouts: Cached
    backgrounds: Backgrounds | None  # None: the training images
    how: Pasting
    share: float
    hidden: float
    side: int
    seed: int

    @property
    def info(self) -> Info:
        labelled = self.real.all_labelled and self.backgrounds is None  # a made image may show none of the objects
        return dataclasses.replace(self.real.info, endless=True, has_boxes=True, all_labelled=labelled)

    @cached_property
    def fingerprint(self) -> str:
        behind = None if self.backgrounds is None else [list(file) for file in self.backgrounds.files]
        how = [list(value) if isinstance(value, tuple) else value for value in vars(self.how).values()]
        settings = [self.share, self.hidden, self.side, self.seed]
        return files.fingerprint(["copy_paste", VERSION, self.real.fingerprint, self.cutouts.fingerprint, behind, how, settings])

    @cached_property
    def groups(self) -> frozenset[str]:
        return self.real.groups | {_group(*file) for file in (self.backgrounds.files if self.backgrounds else ())}

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, index: int) -> Example:
        return self._example(index, None)

    def reduced(self, index: int, height: int, width: int) -> Example:
        """See `imgloc.types.Reducible`: a made image is small as it is."""
        return self._example(index, (height, width))

    def selected(self, choose: Callable[[int], IntArray]) -> CopyPaste:
        """See `imgloc.types.Selectable`: made images, too, show objects of the selected images alone, except those of a folder."""
        real, color, found = self.real.selected(choose), self.color.selected(choose), self.cutouts.cutouts
        if isinstance(found, CutOutObjects):
            found = dataclasses.replace(found, folder=color)
        if not len(found):
            raise UserError(f"none of {len(real)} training images has a box to cut out; set data.options.cutouts to a folder of cut-outs")
        return dataclasses.replace(self, real=real, color=color, cutouts=Cached(found))

    def _example(self, index: int, at_least: tuple[int, int] | None) -> Example:
        rng, count = generator(self.seed, "copy-paste", index), len(self.real)
        place = int(permutation(self.seed, "image order", index // count, count)[index % count])  # each image once an epoch
        if rng.random() >= self.share:
            real = self.real[place] if at_least is None else self.real.reduced(place, *at_least)
            return dataclasses.replace(real, id=f"{index:08d} {real.id}")
        behind = self._background(place, rng)
        image = _fit(behind.image_hxwxc, self.side)
        height, width = image.shape[:2]
        pasted = paste_objects(image, self._draw, self.how, rng)
        kept = [i for i, box in enumerate(behind.boxes_nx4) if _covered(pasted.covered_hxw, box) <= self.hidden]
        new_nx4 = boxes.from_pixels(pasted.boxes_nx4, width, height).astype(np.float32)
        boxes_nx4 = np.concatenate([behind.boxes_nx4[kept], new_nx4])
        labels_n = np.concatenate([behind.labels_n[kept], pasted.labels_n]).astype(np.int32)
        return Example(
            image_hxwxc=decode.with_channels(pasted.image_hxwx3, self.real.channels),
            boxes_nx4=boxes_nx4,
            labels_n=labels_n,
            label=int(labels_n[boxes.largest(boxes_nx4)]) if len(labels_n) else behind.label,
            id=f"{index:08d} made of {behind.id}",
            group=behind.group,
        )

    def _background(self, place: int, rng: np.random.Generator) -> Example:
        """A training image with its objects, or a background without objects."""
        if self.backgrounds is None:
            return self.color.reduced(place, self.side, self.side)
        name, size = self.backgrounds.files[int(rng.integers(len(self.backgrounds.files)))]
        try:
            picture = decode.decode_image(read_file(self.backgrounds.root, name), at_least=(self.side, self.side))
        except UserError as error:
            raise UnreadableImage(f"{name}: {error}") from error
        return Example(picture.pixels_hxwxc, NO_BOXES_0X4, NO_LABELS_0, -1, name, _group(name, size))

    def _draw(self, rng: np.random.Generator) -> CutOut:
        """A random cut-out."""
        for _ in range(DRAWS):
            cut = self.cutouts.read(int(rng.integers(len(self.cutouts))))
            if cut is not None:
                return cut
        raise UnreadableImage(f"{DRAWS} cut-outs in a row are too small or transparent")


def _group(name: str, size: int) -> str:
    return f"background {name} ({size} bytes)"


def _fit(image_hxwx3: Uint8Array, side: int) -> Uint8Array:
    """The image with its longer side reduced to `side` if it is longer."""
    height, width = image_hxwx3.shape[:2]
    scale = min(1.0, side / max(height, width))
    return resize_image(image_hxwx3, max(1, round(scale * height)), max(1, round(scale * width)))


def _covered(covered_hxw: np.ndarray, box: np.ndarray) -> float:
    """The share of a box in [0, 1] that is covered, by the pixels that it touches."""
    height, width = covered_hxw.shape
    x0, y0 = np.floor(box[:2] * (width, height)).astype(int)
    x1, y1 = np.ceil(box[2:] * (width, height)).astype(int)
    return float(covered_hxw[y0:y1, x0:x1].mean())
