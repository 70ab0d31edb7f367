"""What the fields of TFDS's data sets are called and mean, a few lines each; others are inferred from the usual names.

Read in the builders of tensorflow-datasets 4.9.10. TFDS decodes without EXIF, so boxes are of the picture as it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imgloc.errors import UserError

HELD_OUT = ("train[:90%]", "train[90%:]")  # TFDS shuffles records when it writes them


@dataclass(frozen=True)
class Fields:
    """Names of fields, those of a sequence's parts with "/"; "" where there is none."""

    image: str = "image"
    boxes: str = ""  # one box, or a sequence
    labels: str = ""  # the class of each box; "": the image's
    label: str = ""  # the image's class; "": that of its largest box
    id: str = ""  # "": the split and the place in it
    without: tuple[str, ...] = ()  # flags of each box; where one is 1 the box is left out
    one_class: str = ""  # what every box shows, where there are no classes
    one_based: bool = False  # boxes count pixels from 1, the last included, divided by the image's sides
    turn: bool = False  # the picture is to be turned as EXIF says: boxes are of the picture so turned
    splits: tuple[str, str, str] = ("train", "validation", "test")  # our train, validation and test in TFDS's terms
    tensorflow: bool = True  # TFDS's builder wants TensorFlow to prepare it, reading does not
    note: str = ""  # what else is to be known where it is not prepared

    def meaning(self) -> list[object]:
        """What of it decides the examples of given records, as JSON values."""
        flags = [self.one_class, self.one_based, self.turn]
        return [self.image, self.boxes, self.labels, self.label, self.id, list(self.without), *flags]


VOC = Fields(boxes="objects/bbox", labels="objects/label", id="image/filename", one_based=True)
LABELLED = Fields(label="label", splits=(*HELD_OUT, "test"))

TABLE: dict[str, Fields] = {
    "voc": VOC,
    "voc/2012": replace(VOC, splits=(*HELD_OUT, "validation")),  # its test has no annotations
    # Crowd boxes are drawn around many. Its test has no annotations.
    "coco": Fields(
        boxes="objects/bbox", labels="objects/label", id="image/filename", without=("objects/is_crowd",),
        splits=("train[:98%]", "train[98%:]", "validation"),
        note="COCO's own files are read as they are: data.options.folder=COCO, with annotations/instances_*.json, train2017/ and so on",
    ),
    "caltech_birds2011": replace(LABELLED, boxes="bbox", id="image/filename"),
    # Boxes of heads; the official test has none (all zeros), so a part of train is kept for the test.
    "oxford_iiit_pet": Fields(
        boxes="head_bbox", label="label", id="file_name", splits=("train[:80%]", "train[80%:90%]", "train[90%:]")
    ),
    "stanford_dogs": replace(LABELLED, boxes="objects/bbox", id="image/filename"),
    # Boxes that its makers call invalid cannot be recognised. Its test has no boxes.
    "wider_face": Fields(
        boxes="faces/bbox", id="image/filename", without=("faces/invalid",), one_class="face", splits=(*HELD_OUT, "validation")
    ),
    # Of its three tables of labels only bobjects has boxes; group boxes are drawn around many.
    "open_images_v4": Fields(boxes="bobjects/bbox", labels="bobjects/label", id="image/filename", without=("bobjects/is_group_of",)),
    "svhn_cropped": replace(LABELLED, id="id"),
    # Its test has no labels; 1 % of a million is enough to choose by.
    "imagenet2012": Fields(
        label="label", id="file_name", splits=("train[:99%]", "train[99%:]", "validation"),
        note="it wants ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar (image-net.org) in downloads/manual of that folder",
    ),
    "cifar10": replace(LABELLED, id="id"),
    "mnist": LABELLED,
    "imagenette": replace(LABELLED, splits=(*HELD_OUT, "validation")),
    "tiny_imagenet": Fields(
        boxes="bbox", label="label", id="file_name", splits=(*HELD_OUT, "val"), tensorflow=False,
        note="with --from tiny-imagenet-200.zip (http://cs231n.stanford.edu/tiny-imagenet-200.zip)",
    ),
}  # fmt: skip


def fields_in_table(name: str) -> Fields | None:
    """The table's line for a data set `NAME[/CONFIG][:VERSION]`; None where it has none."""
    bare = name.split(":", maxsplit=1)[0]
    return TABLE.get(bare, TABLE.get(bare.split("/", maxsplit=1)[0]))


def flat(features: Any, prefix: str = "") -> dict[str, Any]:
    """TFDS's features by their names in a record; those inside a sequence of a dict as `sequence/name`."""
    found: dict[str, Any] = {}
    for name, feature in features.items():
        inner = getattr(feature, "feature", feature)  # of a sequence
        inner = inner if type(inner).__name__ == "FeaturesDict" else feature
        if type(inner).__name__ == "FeaturesDict":
            found |= flat(inner, f"{prefix}{name}/")
        else:
            found[prefix + name] = feature
    return found


def fields_of(name: str, features: Mapping[str, Any], splits: list[str]) -> Fields:
    """The table's line for a data set, else one inferred from its flat features and the names of its splits.

    Raises UserError where what is needed has none of the usual names, or where the table names fields that are not there.
    """
    known = fields_in_table(name)
    fields = known or _inferred(features, splits)
    wanted = [fields.image, fields.boxes, fields.labels, fields.label, fields.id, *fields.without]
    missing = [field for field in wanted if field and field not in features]
    unnamed = not (fields.labels or fields.label or fields.one_class)
    if missing or unnamed or not _is_picture(features[fields.image]):
        what = "no field of classes named label or OBJECTS/label" if unnamed else f"no field {', '.join(missing) or 'of images of uint8'}"
        has = ", ".join(f"{field} ({_kind(feature)})" for field, feature in features.items())
        raise UserError(f"{name} of TFDS cannot be read as images with classes: it has {what}; its fields: {has}")
    return fields


def _is_picture(feature: Any) -> bool:
    """Whether it is one encoded image of ordinary pixels; TFDS packs those of float32 into four channels."""
    return _kind(feature) == "Image" and str(np.dtype(feature.np_dtype)) in ("uint8", "uint16")


def _kind(feature: Any) -> str:
    inner = getattr(feature, "feature", None)
    return type(feature).__name__ if inner is None else f"{type(feature).__name__} of {type(inner).__name__}"


def _inferred(features: Mapping[str, Any], splits: list[str]) -> Fields:
    boxes = [field for field, feature in features.items() if "BBoxFeature" in _kind(feature)]
    usual = [field for field in ("objects/bbox", "bbox") if field in boxes]
    box = usual[0] if usual else boxes[0] if len(boxes) == 1 else ""
    inside = f"{box.rpartition('/')[0]}/label" if "/" in box else ""

    def named(*names: str, kind: str) -> str:
        return next((name for name in names if name in features and _kind(features[name]) == kind), "")

    images = [field for field, feature in features.items() if _kind(feature) == "Image"]
    test = next((split for split in ("test", "validation", "val") if split in splits), "")
    validation = next((split for split in ("validation", "val") if split in splits and split != test), "")
    ours = ("train", validation, test) if validation else (*HELD_OUT, test) if test else ("train[:80%]", "train[80%:90%]", "train[90%:]")
    return Fields(
        image="image" if "image" in images or len(images) != 1 else images[0],
        boxes=box,
        labels=inside if inside in features and "ClassLabel" in _kind(features[inside]) else "",
        label=named("label", kind="ClassLabel"),
        id=named("image/filename", "file_name", "filename", "id", "image/id", kind="Text"),
        splits=ours,
    )
