"""Tiny ImageNet (Stanford CS231N, 2015): 200 classes, images of 64x64 pixels cropped from ImageNet, each with one box.

It is read from `tiny-imagenet-200.zip` or the folder that it unpacks to: `train/WNID/images/*.JPEG` with `train/WNID/WNID_boxes.txt`,
and `val/images/*.JPEG` with `val/val_annotations.txt`. `test` has no labels and is excluded. Boxes are xyxy in inclusive pixel indices
from 0 to 63. The encoded images are copied unchanged.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow_datasets as tfds

from imgloc import boxes
from imgloc.data.prepared.members import Members, open_members
from imgloc.data.prepared.records import Plan
from imgloc.errors import UserError

#: split -> image name -> file, label, box
Splits: TypeAlias = dict[str, dict[str, tuple[str, int, list[int]]]]
SIDE = 64
ARCHIVE = "tiny-imagenet-200.zip"
OBTAIN = f"download {ARCHIVE} from http://cs231n.stanford.edu/{ARCHIVE} (236 MiB)"


class TinyImagenet(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """The TFDS builder of Tiny ImageNet: splits `train` and `val`; classes are WordNet ids in alphabetical order, as in image folders."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {ARCHIVE}, or the folder that it unpacks to, here; {OBTAIN}."

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Tiny ImageNet: 200 classes, 64x64 pixels, a box for every image of train and val.",
            features=tfds.features.FeaturesDict({
                "image": tfds.features.Image(shape=(SIDE, SIDE, 3), encoding_format="jpeg"),
                "bbox": tfds.features.BBoxFeature(),
                "label": tfds.features.ClassLabel(),  # `describe` sets the names
                "file_name": tfds.features.Text(),
            }),
            supervised_keys=("image", "label"),
            homepage="http://cs231n.stanford.edu/",
            metadata=tfds.core.MetadataDict(),
        )  # fmt: skip

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[str, dict[str, object]]]]:
        manual = Path(dl_manager.manual_dir)
        examples = plan(open_members(manual / ARCHIVE if (manual / ARCHIVE).is_file() else manual))
        describe(self.info, examples)
        return {split: self._generate_examples(examples, split) for split in examples.sizes}

    def _generate_examples(self, examples: Plan, split: str) -> Iterator[tuple[str, dict[str, object]]]:
        for key in examples.sizes[split]:
            yield key, examples.example(split, key)


BUILDER = TinyImagenet


def describe(info: tfds.core.DatasetInfo, examples: Plan) -> None:
    """Sets the classes of a TFDS info: WordNet ids as names of the labels, and names in plain words as `class_names` of the metadata."""
    info.features["label"].names = list(examples.classes)
    info.metadata["class_names"] = list(examples.class_names)


def plan(members: Members) -> Plan:
    """The examples, planned from the annotations. Raises UserError if the layout differs, or if images and boxes do not match."""
    roots = [name for name in members.sizes if name.split("/")[-1] == "wnids.txt"]
    if not roots:
        raise UserError(f"{members.where} is not Tiny ImageNet: it has no wnids.txt; {OBTAIN}")
    members = members.below(min(roots, key=lambda name: (name.count("/"), name))[: -len("wnids.txt")])
    classes = tuple(sorted(members.text("wnids.txt").split()))
    label_of = {name: label for label, name in enumerate(classes)}
    if len(label_of) != len(classes) or len(classes) < 2:
        raise UserError(
            f"wnids.txt in {members.where} must contain 200 different classes, got {len(classes)} classes, {len(label_of)} different"
        )
    splits: Splits = {"train": {}, "val": {}}
    for wnid in classes:
        for name, *box in _table(members, f"train/{wnid}/{wnid}_boxes.txt", columns=5):
            splits["train"][name] = (f"train/{wnid}/images/{name}", label_of[wnid], _box(box, name))
    for name, wnid, *box in _table(members, "val/val_annotations.txt", columns=6):
        if wnid not in label_of:
            raise UserError(f"val/val_annotations.txt in {members.where} has {name} of class '{wnid}', which wnids.txt does not contain")
        splits["val"][name] = (f"val/images/{name}", label_of[wnid], _box(box, name))
    _check_images(members, splits)
    texts = [name for name in members.sizes if name.endswith(".txt") and not name.startswith("test/")]
    return Plan(
        sizes={split: {name: members.sizes[truth[0]] for name, truth in truths.items()} for split, truths in splits.items()},
        example=functools.partial(_example, members, splits),
        sha256=functools.partial(members.sha256, [*texts, *(truth[0] for truths in splits.values() for truth in truths.values())]),
        classes=classes,
        class_names=_names(members, classes),
    )


def _example(members: Members, splits: Splits, split: str, name: str) -> dict[str, object]:
    file, label, box = splits[split][name]
    x0, y0, x1, y1 = boxes.from_pixels(boxes.from_inclusive(np.array(box, np.float64)), SIDE, SIDE).tolist()
    return {"image": members.read(file), "bbox": tfds.features.BBox(y0, x0, y1, x1), "label": label, "file_name": name}


def _table(members: Members, name: str, columns: int) -> Iterator[list[str]]:
    for number, line in enumerate(members.text(name).splitlines(), 1):
        if line.strip():
            cells = line.split()
            if len(cells) != columns:
                raise UserError(f"{name}:{number} in {members.where} must have {columns} columns, got {len(cells)}")
            yield cells


def _box(cells: list[str], name: str) -> list[int]:
    try:
        x0, y0, x1, y1 = (int(cell) for cell in cells)
    except ValueError:
        raise UserError(f"the box of {name} must be four integers, got {' '.join(cells)}") from None
    if not (0 <= x0 <= x1 < SIDE and 0 <= y0 <= y1 < SIDE):
        raise UserError(f"the box of {name} must be x0 y0 x1 y1 from 0 to {SIDE - 1}, got {' '.join(cells)}")
    return [x0, y0, x1, y1]


def _check_images(members: Members, splits: Splits) -> None:
    annotated = {truth[0] for truths in splits.values() for truth in truths.values()}
    images = {name for name in members.sizes if name.startswith(("train/", "val/")) and name.lower().endswith((".jpeg", ".jpg"))}
    for wrong, fault in ((annotated - images, "without a file"), (images - annotated, "without a box")):
        if wrong:
            raise UserError(f"{members.where} has {len(wrong):,} images {fault}, such as {min(wrong)}: it is incomplete or was modified")
    for split, truths in splits.items():
        if not truths:
            raise UserError(f"{members.where} has no images of {split}")


def _names(members: Members, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The first word of each class in words.txt; the WordNet id if that is missing or not unique."""
    words = dict(line.split("\t", maxsplit=1) for line in members.text("words.txt").splitlines() if "\t" in line)
    first = [words.get(wnid, wnid).split(",")[0].strip() or wnid for wnid in classes]
    return tuple(name if first.count(name) == 1 else wnid for name, wnid in zip(first, classes, strict=True))
