"""Tiny ImageNet (Stanford CS231N, 2015): 200 classes, images of 64x64 pixels cut from ImageNet, each with one box.

Read from `tiny-imagenet-200.zip` or the folder that it unpacks to: `train/WNID/images/*.JPEG` with `train/WNID/WNID_boxes.txt`,
`val/images/*.JPEG` with `val/val_annotations.txt`. Its `test` has no labels and is left out. Boxes are x0, y0, x1, y1 in pixels
from 0 to 63, the last one included. Images are kept byte for byte.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from imgloc import boxes
from imgloc.data.prepared.members import Members, open_members
from imgloc.data.prepared.records import Plan
from imgloc.errors import UserError

SIDE = 64
ARCHIVE = "tiny-imagenet-200.zip"
OBTAIN = f"{ARCHIVE} is offered at http://cs231n.stanford.edu/{ARCHIVE} (236 MiB)"


class TinyImagenet(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """Tiny ImageNet for TFDS: splits `train` and `val`; classes are WordNet ids in the order of the alphabet, as folders are read."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {ARCHIVE}, or the folder it unpacks to, here. {OBTAIN}."

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Tiny ImageNet: 200 classes, 64x64 pixels, a box for every image of train and val.",
            features=tfds.features.FeaturesDict({
                "image": tfds.features.Image(shape=(SIDE, SIDE, 3), encoding_format="jpeg"),
                "bbox": tfds.features.BBoxFeature(),
                "label": tfds.features.ClassLabel(),  # named when the archive has been read
                "file_name": tfds.features.Text(),
            }),
            supervised_keys=("image", "label"),
            homepage="http://cs231n.stanford.edu/",
            metadata=tfds.core.MetadataDict(),
        )  # fmt: skip

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        manual = Path(dl_manager.manual_dir)
        found = plan(open_members(manual / ARCHIVE if (manual / ARCHIVE).is_file() else manual))
        describe(self.info, found)
        return {split: self._generate_examples(found, split) for split in found.sizes}

    def _generate_examples(self, found: Plan, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for key in found.sizes[split]:
            yield key, found.example(split, key)


BUILDER = TinyImagenet


def describe(info: Any, found: Plan) -> None:
    """Put the classes into TFDS's info: WordNet ids as names of the labels, what people call them as `class_names` of its metadata."""
    info.features["label"].names = list(found.classes)
    info.metadata["class_names"] = list(found.class_names)


def plan(members: Members) -> Plan:
    """What there is to write, from annotations alone. Raises UserError where the layout is another, or images and boxes don't agree."""
    roots = [name for name in members.sizes if name.split("/")[-1] == "wnids.txt"]
    if not roots:
        raise UserError(f"{members.where} holds no Tiny ImageNet: there is no wnids.txt in it; {OBTAIN}")
    members = members.below(min(roots, key=lambda name: (name.count("/"), name))[: -len("wnids.txt")])
    classes = tuple(sorted(members.text("wnids.txt").split()))
    label_of = {name: label for label, name in enumerate(classes)}
    if len(label_of) != len(classes) or len(classes) < 2:
        raise UserError(f"wnids.txt in {members.where} names {len(classes)} classes, {len(label_of)} different; expected: 200 different")
    splits: dict[str, dict[str, tuple[str, int, list[int]]]] = {"train": {}, "val": {}}
    for wnid in classes:
        for name, *box in _table(members, f"train/{wnid}/{wnid}_boxes.txt", columns=5):
            splits["train"][name] = (f"train/{wnid}/images/{name}", label_of[wnid], _box(box, name))
    for name, wnid, *box in _table(members, "val/val_annotations.txt", columns=6):
        if wnid not in label_of:
            raise UserError(f"val/val_annotations.txt in {members.where} gives {name} the class '{wnid}', which wnids.txt does not name")
        splits["val"][name] = (f"val/images/{name}", label_of[wnid], _box(box, name))
    _check_images(members, splits)
    return Plan(
        sizes={split: {name: members.sizes[truth[0]] for name, truth in found.items()} for split, found in splits.items()},
        example=functools.partial(_example, members, splits),
        sha256=functools.partial(members.sha256, [*_texts(members), *(truth[0] for found in splits.values() for truth in found.values())]),
        classes=classes,
        class_names=_names(members, classes),
    )


def _example(members: Members, splits: dict[str, dict[str, tuple[str, int, list[int]]]], split: str, name: str) -> dict[str, Any]:
    file, label, box = splits[split][name]
    x0, y0, x1, y1 = boxes.from_pixels(boxes.from_inclusive(np.array(box, np.float64)), SIDE, SIDE).tolist()
    return {"image": members.read(file), "bbox": tfds.features.BBox(y0, x0, y1, x1), "label": label, "file_name": name}


def _table(members: Members, name: str, columns: int) -> Iterator[list[str]]:
    for number, line in enumerate(members.text(name).splitlines(), 1):
        if line.strip():
            cells = line.split()
            if len(cells) != columns:
                raise UserError(f"{name}:{number} in {members.where} has {len(cells)} columns; expected {columns}")
            yield cells


def _box(cells: list[str], name: str) -> list[int]:
    try:
        x0, y0, x1, y1 = (int(cell) for cell in cells)
    except ValueError:
        raise UserError(f"the box of {name} is {' '.join(cells)}; expected four whole numbers") from None
    if not (0 <= x0 <= x1 < SIDE and 0 <= y0 <= y1 < SIDE):
        raise UserError(f"the box of {name} is {' '.join(cells)}; expected x0 y0 x1 y1 from 0 to {SIDE - 1}, the last included")
    return [x0, y0, x1, y1]


def _check_images(members: Members, splits: dict[str, dict[str, tuple[str, int, list[int]]]]) -> None:
    named = {truth[0] for found in splits.values() for truth in found.values()}
    there = {name for name in members.sizes if name.startswith(("train/", "val/")) and name.lower().endswith((".jpeg", ".jpg"))}
    for wrong, what in ((named - there, "without a file"), (there - named, "without a box")):
        if wrong:
            raise UserError(f"{members.where} holds {len(wrong):,} images {what}, such as {min(wrong)}: it is not whole, or was changed")
    for split, found in splits.items():
        if not found:
            raise UserError(f"{members.where} holds no image of {split}")


def _texts(members: Members) -> list[str]:
    return [name for name in members.sizes if name.endswith(".txt") and not name.startswith("test/")]


def _names(members: Members, classes: tuple[str, ...]) -> tuple[str, ...]:
    """What words.txt calls them, its first word of each; where that is not the class's alone, or not there, the WordNet id."""
    words = dict(line.split("\t", maxsplit=1) for line in members.text("words.txt").splitlines() if "\t" in line)
    first = [words.get(wnid, wnid).split(",")[0].strip() or wnid for wnid in classes]
    return tuple(name if first.count(name) == 1 else wnid for name, wnid in zip(first, classes, strict=True))
