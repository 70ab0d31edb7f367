"""Any data set that TFDS has prepared as array_record, read without TensorFlow. Images stay encoded until they are needed.

`imgloc.data.prepared.fields` maps the fields of each data set. Records are TensorFlow's Example messages; parsing only the required
fields takes a quarter of the time of TFDS's own decoding.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgloc import boxes as box_arithmetic
from imgloc import files
from imgloc.data.annotated.listing import list_folder
from imgloc.data.annotated.reader import read_folder
from imgloc.data.checks.folder import Findings, sort_faults
from imgloc.data.images import decode
from imgloc.data.prepared.classes import class_names, class_numbers
from imgloc.data.prepared.fields import Fields, find_fields, flatten_features
from imgloc.data.prepared.opening import Part, data_dir, open_prepared, overlapping_splits, split_parts
from imgloc.data.prepared.parsing import REPAIR_HINT, open_records, parse_record
from imgloc.data.prepared.records import CHECKSUMS
from imgloc.data.sources import folder as folders
from imgloc.errors import UnreadableImage, UserError, reason, unknown
from imgloc.types import NO_BOXES_0X4, NO_LABELS_0, BoolArray, Example, FloatArray, Info, IntArray, Source, Truth

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder
    from tensorflow_datasets.proto.tf_example_pb2 import Feature

SPLITS = ("train", "validation", "test")
LABEL_CHECKS = 8  # records that are read to detect a split without labels


def source(
    split: str, *, seed: int, name: str = "", folder: str = "", train: str = "", validation: str = "", test: str = "",
    classes: Sequence[str] = (), per_class: int = 0, channels: int = 0,
) -> Source:  # fmt: skip
    """A split (train, validation, test) of TFDS's data set `name`, the same for every seed.

    `folder` is TFDS's data_dir (empty: its default). `train`, `validation` and `test` are TFDS's split expressions, such as
    `train[:90%]`, `train[5000:]`, `a+b` or `even_splits(train, 3)[0]` (empty: the default of the data set). `classes` selects classes
    and their order, `per_class` the first images of each class; both read all records once.
    `channels` is 3 (RGB), 1 (grayscale) or 0 (1 if all images are grayscale, else 3).
    If `folder` contains COCO's own files (annotations/instances_*.json), coco/2017 is read from them like the source `folder`, in the
    same splits as from TFDS: val2017 is the test split, and 2 % of train2017 are the validation split.
    Raises UserError if the data set is not prepared, has no such split, has no labels in it, or its fields are unknown.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if channels not in (0, 1, 3) or per_class < 0:
        raise UserError(
            f"channels must be 3 (RGB), 1 (grayscale) or 0, and per_class at least 0, got channels={channels}, per_class={per_class}"
        )
    if coco_folder := _original_coco_folder(name, folder):
        if per_class or train or validation or test:
            raise UserError("COCO's own files have fixed splits; only the options folder, classes and channels are possible")
        return _original_coco(Path(coco_folder), split, classes, channels or 3)
    builder = open_prepared(name, folder)
    features = flatten_features(builder.info.features)
    fields = find_fields(name, features, list(builder.info.splits))
    place = SPLITS.index(split)
    expression = (train, validation, test)[place] or fields.splits[place]
    parts = split_parts(builder, expression)
    ids, names = class_names(features, fields, builder.info.metadata)
    numbers, chosen = class_numbers(name, classes, ids, names)
    channels = channels or (1 if features[fields.image].shape[-1] == 1 else 3)
    ranges = [[os.path.basename(part.file), part.start, part.stop] for part in parts]
    content = [builder.info.full_name, ranges, [s.num_bytes for s in builder.info.splits.values()], fields.meaning(), _checksums(builder)]
    fingerprint = files.fingerprint([*content, list(chosen), per_class, channels])
    full_name = builder.info.full_name.rpartition("/")[0]  # with the default config, without the version
    whole = Tfds(full_name, parts, open_records(parts), fields, Info(chosen, channels, has_boxes=bool(fields.boxes)), numbers, fingerprint)
    if all(whole.record(index).label < 0 for index in range(min(LABEL_CHECKS, len(whole)))) and not classes:
        possible = ", ".join(builder.info.splits)
        raise UserError(f"'{expression}' of {name} has no labels; set data.options.{split} to another split, of {possible}")
    return whole if not classes and not per_class else _subset(whole, per_class)


def _original_coco(folder: Path, split: str, classes: Sequence[str], channels: int) -> folders.Folder:
    """A split of COCO's own files. Published results are on val2017, so it is the test split and never selects a model."""
    listing = list_folder(folder)
    annotated = read_folder(listing, format="coco")
    split_of = {"train": "train", "validation": "test"}
    images = tuple(replace(entry, split=split_of[entry.split]) for entry in annotated.images if entry.split in split_of)
    cut = {"validation": 0.02, "test": 0.0}
    return folders.make_split(replace(annotated, images=images), listing, split, cut=cut, classes=classes, channels=channels)


def check_data(
    *, thorough: bool, name: str = "", folder: str = "", train: str = "", validation: str = "", test: str = "", **others: object
) -> Findings | None:
    """Records that are in two splits, or twice in one, without reading them; None if `thorough`, which reads all examples."""
    if _original_coco_folder(name, folder):
        return folders.check_data(thorough=thorough, folder=folder, format="coco")
    if thorough:
        return None
    builder = open_prepared(name, folder)
    fields = find_fields(name, flatten_features(builder.info.features), list(builder.info.splits))
    chosen = zip(SPLITS, (train, validation, test), fields.splits, strict=True)
    expressions = {split: expression or default for split, expression, default in chosen}
    return Findings(sort_faults(overlapping_splits(builder, expressions)), 0, 0)


def _original_coco_folder(name: str, folder: str) -> str:
    """The folder of COCO's own files; empty if they are missing or `name` is another data set."""
    path = data_dir(folder) or ""
    return path if path and name.partition("/")[0] == "coco" and any(Path(path).glob("annotations/instances_*.json")) else ""


@dataclass(frozen=True)
class Record:
    """A record, its image still encoded."""

    content: bytes  # the encoded image
    id: str
    boxes_nx4: FloatArray  # as in Example
    labels_n: IntArray
    label: int  # -1 if there is none
    difficult_n: BoolArray | None
    crowd_boxes_mx4: FloatArray
    crowd_labels_m: IntArray

    @property
    def objects(self) -> dict[str, Any]:
        """The fields that Example and Truth share, by name."""
        return {name: value for name, value in vars(self).items() if name != "content"}


@dataclass(frozen=True)
class Tfds:
    """See `source`."""

    name: str
    parts: tuple[Part, ...]
    records: Sequence[bytes]  # serialized; array_record opens its files at the first read, also after pickling
    fields: Fields
    info: Info
    numbers: IntArray  # the class number for each label in the records; -1 if it is excluded
    fingerprint: str
    chosen: IntArray | None = None  # indices of records, None for all

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self._group(index) for index in range(len(self)))

    def _group(self, index: int) -> str:
        """The group of an image: its index in TFDS's split, because names would require reading all records."""
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
        """See `imgloc.types.TruthKnown`: only the header of the encoded image is decoded."""
        record = self._labelled_record(index)
        try:
            picture = decode.read_header(record.content)
        except UserError as error:
            raise UnreadableImage(f"{record.id}: {error}") from error
        turned = self.fields.turn and picture.orientation >= 5
        width, height = (picture.height, picture.width) if turned else (picture.width, picture.height)
        return Truth(width=width, height=height, **record.objects)

    def record(self, index: int) -> Record:
        """The record with this index. Raises UserError if it is damaged."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        try:
            return self._parsed(index, parse_record(self.records[index if self.chosen is None else int(self.chosen[index])]))
        except Exception as error:  # array_record, protobuf and missing fields raise different types
            where = f"{self._group(index)} in {os.path.dirname(self.parts[0].file)}"
            raise UserError(f"{where} cannot be read: {reason(error, lines=1)[:200]}; {REPAIR_HINT}") from error

    def _labelled_record(self, index: int) -> Record:
        record = self.record(index)
        if record.label < 0:
            raise UnreadableImage(f"{record.id}: it has neither class nor box", kind="unboxed_image")
        return record

    def _parsed(self, index: int, values: Mapping[str, Feature]) -> Record:
        fields = self.fields
        identity = values[fields.id].bytes_list.value[0].decode(errors="replace") if fields.id else self._group(index)
        image_label = self._number(values[fields.label].int64_list.value[0]) if fields.label else -1
        stored = np.array(values[fields.boxes].float_list.value if fields.boxes else (), np.float32).reshape(-1, 4)
        content = values[fields.image].bytes_list.value[0]
        boxes = box_arithmetic.from_ymin_xmin_ymax_xmax(stored)
        boxes = box_arithmetic.clip_to_image(_from_one_based(boxes, content) if fields.one_based and len(boxes) else boxes)
        if fields.labels:
            labels = np.array([self._number(label) for label in values[fields.labels].int64_list.value], np.int32)
        else:
            labels = np.array([0 if fields.one_class else image_label] * len(boxes), np.int32)
        keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]) & (labels >= 0)
        for flag in fields.without:
            keep &= ~_flags(values, flag)
        crowd = keep & _flags(values, fields.crowd) if fields.crowd else np.zeros(len(boxes), np.bool_)
        single = keep & ~crowd
        difficult = _flags(values, fields.difficult)[single] if fields.difficult else None
        crowds = (boxes[crowd], labels[crowd]) if crowd.any() else (NO_BOXES_0X4, NO_LABELS_0)
        if not single.all():
            boxes, labels = boxes[single], labels[single]
        if not fields.label and len(boxes):
            image_label = int(labels[box_arithmetic.largest(boxes)])
        difficult = difficult if difficult is not None and difficult.any() else None
        return Record(content, identity, boxes, labels, image_label, difficult, *crowds)

    def _number(self, label: int) -> int:
        return int(self.numbers[label]) if 0 <= label < len(self.numbers) else -1

    def _example(self, index: int, at_least: tuple[int, int] | None) -> Example:
        record = self._labelled_record(index)
        try:
            picture = decode.decode_image(record.content, channels=self.info.channels, turn=self.fields.turn, at_least=at_least)
        except UserError as error:
            raise UnreadableImage(f"{record.id}: {error}") from error
        return Example(
            image_hxwxc=picture.pixels_hxwxc,
            group=self._group(index % len(self)),
            upright_size=picture.upright_size,
            **record.objects,
        )


def _flags(values: Mapping[str, Feature], name: str) -> BoolArray:
    """A flag of each box."""
    return np.array([value == 1 for value in values[name].int64_list.value], np.bool_)


def _from_one_based(boxes_nx4: FloatArray, content: bytes) -> FloatArray:
    """Boxes in continuous edges from boxes of inclusive pixel indices from 1, both divided by the sides of the encoded image."""
    try:
        picture = decode.read_header(content)
    except UserError:  # reported when the image is decoded
        return boxes_nx4
    pixels = box_arithmetic.to_pixels(boxes_nx4.astype(np.float64), picture.width, picture.height)
    edges: FloatArray = box_arithmetic.from_pixels(box_arithmetic.from_voc_inclusive(pixels), picture.width, picture.height)
    return edges.astype(np.float32)


def _checksums(builder: DatasetBuilder) -> object:
    """The checksums that `imgloc data prepare` wrote; None for data sets that TFDS prepared."""
    try:
        return files.read_json(Path(builder.data_dir) / CHECKSUMS)["shards"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _subset(whole: Tfds, per_class: int) -> Tfds:
    """The examples of the chosen classes, the first `per_class` of each (0: all)."""
    counts = np.zeros(len(whole.info.classes), np.int64)
    chosen = []
    for index in range(len(whole)):
        label = whole.record(index).label
        if label >= 0 and (not per_class or counts[label] < per_class):
            counts[label] += 1
            chosen.append(index)
    if not chosen:
        raise UserError(f"no example of {whole.name} has one of the classes {', '.join(whole.info.classes[:5])}")
    return replace(whole, chosen=np.array(chosen, np.int64))
