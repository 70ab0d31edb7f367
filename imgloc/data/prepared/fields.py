"""The names and meanings of the fields of TFDS's data sets; for data sets outside the table they are inferred from common names.

The table follows the builders of tensorflow-datasets 4.9.10. TFDS ignores EXIF, so boxes refer to the image as it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from imgloc.errors import UserError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

Features: TypeAlias = "Mapping[str, tfds.features.FeatureConnector]"
HELD_OUT = ("train[:90%]", "train[90%:]")  # TFDS shuffles records when it writes them


@dataclass(frozen=True)
class Fields:
    """Names of fields, with "/" between a sequence and its part; empty for a field that does not exist."""

    image: str = "image"
    boxes: str = ""  # one box or a sequence of boxes
    labels: str = ""  # the class of each box; empty: the image's class
    label: str = ""  # the image's class; empty: the class of its largest box
    id: str = ""  # empty: the split and the index in it
    without: tuple[str, ...] = ()  # flags of each box; a box is excluded if any of them is 1
    crowd: str = ""  # a flag of each box: it encloses many objects
    difficult: str = ""  # a flag of each box: trained on, and left out of the scores of detection
    one_class: str = ""  # the class of all boxes, if the data set has no classes
    one_based: bool = False  # boxes are inclusive pixel indices from 1, divided by the image's sides
    turn: bool = False  # boxes refer to the image after EXIF's orientation is applied
    splits: tuple[str, str, str] = ("train", "validation", "test")  # TFDS's split expressions of train, validation and test
    tensorflow: bool = True  # TFDS's builder requires TensorFlow; reading does not
    note: str = ""  # further advice for preparing it

    def meaning(self) -> list[object]:
        """The fields that determine the examples of given records, as JSON values."""
        flags = [self.one_class, self.one_based, self.turn]
        kinds = [self.crowd, self.difficult] if self.crowd or self.difficult else []
        return [self.image, self.boxes, self.labels, self.label, self.id, list(self.without), *flags, *kinds]


VOC = Fields(boxes="objects/bbox", labels="objects/label", difficult="objects/is_difficult", id="image/filename", one_based=True)
LABELLED = Fields(label="label", splits=(*HELD_OUT, "test"))

TABLE: dict[str, Fields] = {
    "voc": VOC,
    "voc/2012": replace(VOC, splits=(*HELD_OUT, "validation")),  # its test split has no annotations
    # A crowd box encloses many objects. The test split has no annotations.
    "coco": Fields(
        boxes="objects/bbox", labels="objects/label", id="image/filename", crowd="objects/is_crowd",
        splits=("train[:98%]", "train[98%:]", "validation"),
        note="COCO's own files can be read directly: data.options.folder=COCO with annotations/instances_*.json, train2017/ and so on",
    ),
    "caltech_birds2011": replace(LABELLED, boxes="bbox", id="image/filename"),
    # Boxes of heads. The official test split has none (all zeros), so a part of train is the test split.
    "oxford_iiit_pet": Fields(
        boxes="head_bbox", label="label", id="file_name", splits=("train[:80%]", "train[80%:90%]", "train[90%:]")
    ),
    "stanford_dogs": replace(LABELLED, boxes="objects/bbox", id="image/filename"),
    # Boxes marked as invalid cannot be recognized. The test split has no boxes.
    "wider_face": Fields(
        boxes="faces/bbox", id="image/filename", without=("faces/invalid",), one_class="face", splits=(*HELD_OUT, "validation")
    ),
    # Of the three tables of labels only bobjects has boxes. A group box encloses many objects.
    "open_images_v4": Fields(boxes="bobjects/bbox", labels="bobjects/label", id="image/filename", crowd="bobjects/is_group_of"),
    "svhn_cropped": replace(LABELLED, id="id"),
    # The test split has no labels. 1 % of a million images is enough for validation.
    "imagenet2012": Fields(
        label="label", id="file_name", splits=("train[:99%]", "train[99%:]", "validation"),
        note="it requires ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar (image-net.org) in downloads/manual of that folder",
    ),
    "cifar10": replace(LABELLED, id="id"),
    "mnist": LABELLED,
    "imagenette": replace(LABELLED, splits=(*HELD_OUT, "validation")),
    "tiny_imagenet": Fields(
        boxes="bbox", label="label", id="file_name", splits=(*HELD_OUT, "val"), tensorflow=False,
        note="with --from tiny-imagenet-200.zip (http://cs231n.stanford.edu/tiny-imagenet-200.zip)",
    ),
}  # fmt: skip


def known_fields(name: str) -> Fields | None:
    """The entry of the table for a data set `NAME[/CONFIG][:VERSION]`, or None."""
    bare = name.split(":", maxsplit=1)[0]
    return TABLE.get(bare, TABLE.get(bare.split("/", maxsplit=1)[0]))


def flatten_features(features: Features, prefix: str = "") -> dict[str, tfds.features.FeatureConnector]:
    """TFDS's features by their names in a record; a feature inside a sequence of dicts is named `sequence/name`."""
    flat: dict[str, tfds.features.FeatureConnector] = {}
    for name, feature in features.items():
        inner = getattr(feature, "feature", feature)  # of a sequence
        if type(inner).__name__ == "FeaturesDict":
            flat |= flatten_features(inner, f"{prefix}{name}/")
        else:
            flat[prefix + name] = feature
    return flat


def find_fields(name: str, features: Features, splits: list[str]) -> Fields:
    """The entry of the table for a data set, or else fields inferred from its flat features and the names of its splits.

    Raises UserError if a required field is missing or cannot be inferred.
    """
    known = known_fields(name)
    fields = known or _inferred(features, splits)
    names = [fields.image, fields.boxes, fields.labels, fields.label, fields.id, fields.crowd, fields.difficult, *fields.without]
    missing = [field for field in names if field and field not in features]
    unlabelled = not (fields.labels or fields.label or fields.one_class)
    if missing or unlabelled or not _is_image(features[fields.image]):
        lacks = "of classes named label or OBJECTS/label" if unlabelled else ", ".join(missing) or "of images of uint8"
        listing = ", ".join(f"{field} ({_kind(feature)})" for field, feature in features.items())
        raise UserError(f"{name} of TFDS cannot be read as images with classes: it has no field {lacks}; its fields: {listing}")
    return fields


def _is_image(feature: tfds.features.FeatureConnector) -> bool:
    """Whether the feature is one encoded image of integers; TFDS packs float32 images into four channels."""
    return _kind(feature) == "Image" and str(np.dtype(feature.np_dtype)) in ("uint8", "uint16")


def _kind(feature: object) -> str:
    inner = getattr(feature, "feature", None)
    return type(feature).__name__ if inner is None else f"{type(feature).__name__} of {type(inner).__name__}"


def _inferred(features: Features, splits: list[str]) -> Fields:
    boxes = [field for field, feature in features.items() if "BBoxFeature" in _kind(feature)]
    common = [field for field in ("objects/bbox", "bbox") if field in boxes]
    box = common[0] if common else boxes[0] if len(boxes) == 1 else ""
    box_label = f"{box.rpartition('/')[0]}/label" if "/" in box else ""

    def first_of(*names: str, kind: str) -> str:
        return next((name for name in names if name in features and _kind(features[name]) == kind), "")

    images = [field for field, feature in features.items() if _kind(feature) == "Image"]
    test = next((split for split in ("test", "validation", "val") if split in splits), "")
    validation = next((split for split in ("validation", "val") if split in splits and split != test), "")
    expressions = (
        ("train", validation, test) if validation else (*HELD_OUT, test) if test else ("train[:80%]", "train[80%:90%]", "train[90%:]")
    )
    return Fields(
        image="image" if "image" in images or len(images) != 1 else images[0],
        boxes=box,
        labels=box_label if box_label in features and "ClassLabel" in _kind(features[box_label]) else "",
        label=first_of("label", kind="ClassLabel"),
        id=first_of("image/filename", "file_name", "filename", "id", "image/id", kind="Text"),
        splits=expressions,
    )
