"""Any data set that TFDS has prepared as array_record, by its name: images kept encoded, read one by one, without TensorFlow.

Which field is what stands in `imgloc.data.prepared.fields`. Records are TensorFlow's Example messages; of one only the fields that
count are taken, which costs a quarter of TFDS's own decoding.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgloc import boxes as box_arithmetic
from imgloc import files
from imgloc.data.annotated.listing import list_folder
from imgloc.data.annotated.reader import read_folder
from imgloc.data.checks.folder import Findings, in_order
from imgloc.data.images import decode
from imgloc.data.prepared.classes import class_names, numbered
from imgloc.data.prepared.fields import Fields, fields_of, flat
from imgloc.data.prepared.opening import Part, data_dir, open_prepared, parts_of, shared_records
from imgloc.data.prepared.parsing import ANEW, fields_of_record, open_records
from imgloc.data.prepared.records import CHECKSUMS
from imgloc.data.sources import folder as folders
from imgloc.errors import UnreadableImage, UserError, reason, unknown
from imgloc.types import Example, FloatArray, Info, IntArray, Source, Truth

SPLITS = ("train", "validation", "test")
LOOKED_AT = 8  # records by which a split without labels is told


def source(
    split: str,
    *,
    seed: int,
    name: str = "",
    folder: str = "",
    train: str = "",
    validation: str = "",
    test: str = "",
    classes: Sequence[str] = (),
    per_class: int = 0,
    channels: int = 0,
) -> Source:
    """A split (train, validation, test) of TFDS's data set `name`, the same for every seed.

    `folder` is TFDS's data_dir, its own default where empty. `train`, `validation`, `test` say which of TFDS's splits ours are:
    `train[:90%]`, `train[5000:]`, `a+b`, `even_splits(train, 3)[0]`; where empty, what suits the data set. `classes`: of all only
    these, numbered in this order; `per_class`: of each class as many images, the first; both read all records once.
    `channels` 3 (RGB) or 1 (grey); 0: 1 where all of its images are grey.
    Where `folder` holds COCO's own files instead (annotations/instances_*.json), coco/2017 is read from these as source `folder`
    reads them, in the same parts as from TFDS: val2017 is the test, and 2 % of train2017 are validation.
    Raises UserError where it is not prepared, has no such split or no labels there, or no fields that are known.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if channels not in (0, 1, 3) or per_class < 0:
        raise UserError(f"channels={channels}, per_class={per_class}; possible: 3 (RGB), 1 (grey) or 0, and 0 (all) or more")
    if own := _cocos_own_folder(name, folder):
        if per_class or train or validation or test:
            raise UserError("COCO's own files have their own splits; possible: options folder, classes and channels alone")
        return _cocos_own(Path(own), split, classes, channels or 3)
    builder = open_prepared(name, folder)
    features = flat(builder.info.features)
    fields = fields_of(name, features, list(builder.info.splits))
    place = SPLITS.index(split)
    expression = (train, validation, test)[place] or fields.splits[place]
    parts = parts_of(builder, expression)
    ids, names = class_names(features, fields, builder.info.metadata)
    numbers, chosen = numbered(name, classes, ids, names)
    channels = channels or (1 if features[fields.image].shape[-1] == 1 else 3)
    of_all = [[os.path.basename(part.file), part.start, part.stop] for part in parts]
    content = [builder.info.full_name, of_all, [s.num_bytes for s in builder.info.splits.values()], fields.meaning(), _checksums(builder)]
    fingerprint = files.fingerprint([*content, list(chosen), per_class, channels])
    full_name = builder.info.full_name.rpartition("/")[0]  # with the config that a bare name stands for, without the version
    whole = Tfds(full_name, parts, open_records(parts), fields, Info(chosen, channels), numbers, fingerprint)
    if all(whole.truth(index).label < 0 for index in range(min(LOOKED_AT, len(whole)))) and not classes:
        possible = ", ".join(builder.info.splits)
        raise UserError(f"'{expression}' of {name} has no labels; choose another for data.options.{split}, of {possible}")
    return whole if not classes and not per_class else _subset(whole, per_class)


def _cocos_own(folder: Path, split: str, classes: Sequence[str], channels: int) -> folders.Folder:
    """A split of COCO as it is downloaded. What others report is of val2017: it is the test, and nothing is chosen by it."""
    listing = list_folder(folder)
    annotated = read_folder(listing, format="coco")
    ours = {"train": "train", "validation": "test"}
    images = tuple(replace(entry, split=ours[entry.split]) for entry in annotated.images if entry.split in ours)
    cut = {"validation": 0.02, "test": 0.0}
    return folders.part(replace(annotated, images=images), listing, split, cut=cut, classes=classes, channels=channels)


def check_data(
    *, thorough: bool, name: str = "", folder: str = "", train: str = "", validation: str = "", test: str = "", **others: object
) -> Findings | None:
    """Records that are in two of our splits, or twice in one, told without reading any; None where all of them are to be looked at."""
    if _cocos_own_folder(name, folder):
        return folders.check_data(thorough=thorough, folder=folder, format="coco")
    if thorough:
        return None
    builder = open_prepared(name, folder)
    fields = fields_of(name, flat(builder.info.features), list(builder.info.splits))
    said = {split: own or default for split, own, default in zip(SPLITS, (train, validation, test), fields.splits, strict=True)}
    return Findings(in_order(shared_records(builder, said)), 0, 0)


def _cocos_own_folder(name: str, folder: str) -> str:
    """Where COCO's own files lie; "" where they don't, or another data set is asked for."""
    own = data_dir(folder) or ""
    return own if own and name.partition("/")[0] == "coco" and any(Path(own).glob("annotations/instances_*.json")) else ""


@dataclass(frozen=True)
class Record:
    """What a record says but its pixels."""

    content: bytes  # the encoded image
    id: str
    boxes_nx4: FloatArray  # those of the Example
    labels_n: IntArray
    label: int  # -1: none


@dataclass(frozen=True)
class Tfds:
    """See `source`."""

    name: str
    parts: tuple[Part, ...]
    records: Any  # random access to serialized records; opens its files when it is first read, also after pickling
    fields: Fields
    info: Info
    numbers: IntArray  # the data set's number of a class -> ours; -1: left out
    fingerprint: str
    chosen: IntArray | None = None  # indices of records; None: all

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self._group(index) for index in range(len(self)))

    def _group(self, index: int) -> str:
        """A photograph by its place in TFDS's split: its name would take reading all of the data set."""
        place = index if self.chosen is None else int(self.chosen[index])
        part = self.parts[bisect.bisect_right(self.parts, place, key=lambda part: part.before) - 1]
        return f"{self.name}-{part.split}-{part.place + place - part.before}"

    def __len__(self) -> int:
        return len(self.records) if self.chosen is None else len(self.chosen)

    def __getitem__(self, index: int) -> Example:
        return self._example(index, None)

    def reduced(self, index: int, height: int, width: int) -> Example:
        """See `imgloc.types.Reducible`."""
        return self._example(index, (height, width))

    def known(self, index: int) -> Truth:
        """See `imgloc.types.TruthKnown`: the header of the encoded image is read."""
        truth = self.truth(index)
        if truth.label < 0:
            raise UnreadableImage(f"{truth.id}: it has neither class nor box", kind="unboxed_image")
        try:
            picture = decode.read_header(truth.content)
        except UserError as error:
            raise UnreadableImage(f"{truth.id}: {error}") from error
        turned = self.fields.turn and picture.orientation >= 5
        width, height = (picture.height, picture.width) if turned else (picture.width, picture.height)
        return Truth(truth.boxes_nx4, truth.labels_n, truth.label, truth.id, width, height)

    def truth(self, index: int) -> Record:
        """What the record of an index says, its image not decoded. Raises UserError where it is damaged."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        try:
            return self._record(index, fields_of_record(self.records[index if self.chosen is None else int(self.chosen[index])]))
        except Exception as error:  # array_record, protobuf and missing fields have an error of their own each
            where = f"{self._group(index)} in {os.path.dirname(self.parts[0].file)}"
            raise UserError(f"{where} cannot be read: {reason(error, lines=1)[:200]}; {ANEW}") from error

    def _record(self, index: int, values: Any) -> Record:
        fields = self.fields
        identity = values[fields.id].bytes_list.value[0].decode(errors="replace") if fields.id else self._group(index)
        image_label = self._number(values[fields.label].int64_list.value[0]) if fields.label else -1
        written = np.array(values[fields.boxes].float_list.value if fields.boxes else (), np.float32).reshape(-1, 4)
        content = values[fields.image].bytes_list.value[0]
        boxes = box_arithmetic.from_ymin_xmin_ymax_xmax(written)
        boxes = box_arithmetic.clipped(_from_one(boxes, content) if fields.one_based and len(boxes) else boxes)
        if fields.labels:
            labels = np.array([self._number(label) for label in values[fields.labels].int64_list.value], np.int32)
        else:
            labels = np.array([0 if fields.one_class else image_label] * len(boxes), np.int32)
        keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]) & (labels >= 0)
        for flag in fields.without:
            keep &= np.array(values[flag].int64_list.value, np.int64) != 1
        if not keep.all():
            boxes, labels = boxes[keep], labels[keep]
        if not fields.label and len(boxes):
            image_label = int(labels[np.argmax(box_arithmetic.area(boxes))])
        return Record(content, identity, boxes, labels, image_label)

    def _number(self, label: int) -> int:
        return int(self.numbers[label]) if 0 <= label < len(self.numbers) else -1

    def _example(self, index: int, at_least: tuple[int, int] | None) -> Example:
        truth = self.truth(index)
        if truth.label < 0:
            raise UnreadableImage(f"{truth.id}: it has neither class nor box", kind="unboxed_image")
        try:
            picture = decode.decode_image(truth.content, channels=self.info.channels, turn=self.fields.turn, at_least=at_least)
        except UserError as error:
            raise UnreadableImage(f"{truth.id}: {error}") from error
        return Example(
            image_hxwxc=picture.pixels_hxwxc,
            boxes_nx4=truth.boxes_nx4,
            labels_n=truth.labels_n,
            label=truth.label,
            id=truth.id,
            group=self._group(index % len(self)),
        )


def _from_one(boxes_nx4: FloatArray, content: bytes) -> FloatArray:
    """Boxes of pixels counted from 1, the last included, by the sides of the encoded picture, as boxes of edges by them."""
    try:
        picture = decode.read_header(content)
    except UserError:  # it cannot be decoded either, which is told where that is tried
        return boxes_nx4
    pixels = box_arithmetic.to_pixels(boxes_nx4.astype(np.float64), picture.width, picture.height)
    edges: FloatArray = box_arithmetic.from_pixels(box_arithmetic.from_voc_inclusive(pixels), picture.width, picture.height)
    return edges.astype(np.float32)


def _checksums(builder: Any) -> Any:
    """Those that `imgloc data prepare` wrote of the records; none of what TFDS prepared."""
    try:
        return files.read_json(Path(builder.data_dir) / CHECKSUMS)["shards"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _subset(whole: Tfds, per_class: int) -> Tfds:
    """Those of the chosen classes, the first `per_class` (0: all) of each."""
    counts = np.zeros(len(whole.info.classes), np.int64)
    chosen = []
    for index in range(len(whole)):
        label = whole.truth(index).label
        if label >= 0 and (not per_class or counts[label] < per_class):
            counts[label] += 1
            chosen.append(index)
    if not chosen:
        raise UserError(f"no example of {whole.name} is of the classes {', '.join(whole.info.classes[:5])}")
    return replace(whole, chosen=np.array(chosen, np.int64))
