"""The fields of TFDS data sets: the table against TFDS's builders, and inferred fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imgloc.data.prepared import fields as tfds_fields
from imgloc.data.prepared.fields import HELD_OUT, Fields
from tests.refusals import assert_refused


def features(**more: Any) -> dict[str, Any]:
    import tensorflow_datasets

    kinds = tensorflow_datasets.features
    mapping = kinds.FeaturesDict({"image": kinds.Image(shape=(None, None, 3)), **{key: make(kinds) for key, make in more.items()}})
    return tfds_fields.flatten_features(mapping)


def label(kinds: Any) -> Any:
    return kinds.ClassLabel(names=["a", "b"])


def objects(kinds: Any) -> Any:
    return kinds.Sequence({"bbox": kinds.BBoxFeature(), "label": kinds.ClassLabel(num_classes=3), "area": kinds.Scalar(dtype=np.int64)})


def test_known_fields_accept_names_with_config_and_version() -> None:
    known = tfds_fields.known_fields
    assert known("voc/2012") != known("voc/2007") == known("voc") is not None
    assert known("coco/2017") == known("coco/2014:1.1.0") == known("coco") is not None
    assert known("imagenet2012:5.1.0") == known("imagenet2012")
    assert known("open_images_v4/300k") == known("open_images_v4")
    assert known("no_such_set") is None


@pytest.mark.parametrize("name", [name for name in tfds_fields.TABLE if name not in ("coco", "tiny_imagenet")])
def test_the_builders_have_the_fields_of_the_table(name: str) -> None:
    import tensorflow_datasets

    info = tensorflow_datasets.builder(name, data_dir="/nowhere", file_format="array_record").info
    fields = tfds_fields.find_fields(name, tfds_fields.flatten_features(info.features), [])
    named = {fields.image, fields.boxes, fields.labels, fields.label, fields.id, *fields.without} - {""}
    assert named <= set(tfds_fields.flatten_features(info.features))
    kinds = {fields.boxes: "BBoxFeature", fields.labels: "ClassLabel", fields.label: "ClassLabel", fields.id: "Text"}
    for field, kind in kinds.items():
        assert not field or kind in repr(tfds_fields.flatten_features(info.features)[field]), field


def test_common_names_are_inferred() -> None:
    detection = tfds_fields.find_fields("mine", features(objects=objects, id=lambda k: k.Text()), ["train", "validation", "test"])
    assert detection == Fields(boxes="objects/bbox", labels="objects/label", id="id")
    single = tfds_fields.find_fields("mine", features(bbox=lambda k: k.BBoxFeature(), label=label), ["train", "test"])
    assert single == Fields(boxes="bbox", label="label", splits=(*HELD_OUT, "test"))
    other = features(things=lambda k: k.Sequence({"where": k.BBoxFeature()}), label=label)
    assert tfds_fields.find_fields("mine", other, ["train"]) == Fields(
        boxes="things/where", label="label", splits=("train[:80%]", "train[80%:90%]", "train[90%:]")
    )
    plain = tfds_fields.find_fields("mine", features(label=label, file_name=lambda k: k.Text()), ["train", "val"])
    assert plain == Fields(label="label", id="file_name", splits=(*HELD_OUT, "val"))


def test_fields_that_cannot_be_inferred_raise_with_a_listing() -> None:
    unlabelled = features(caption=lambda k: k.Text())
    assert_refused(lambda: tfds_fields.find_fields("mine", unlabelled, []), "mine of TFDS", "no field of classes", "caption (Text)")
    two = tfds_fields.flatten_features({key: feature for key, feature in features(label=label).items() if key != "image"})
    assert_refused(lambda: tfds_fields.find_fields("mine", two, []), "no field image", "label (ClassLabel)")
    depth = {**features(label=label), "image": features(x=lambda k: k.Image(shape=(None, None, 1), dtype=np.float32))["x"]}
    assert_refused(lambda: tfds_fields.find_fields("mine", depth, []), "no field of images of uint8")
    assert_refused(lambda: tfds_fields.find_fields("voc/2007", features(label=label), []), "no field objects/bbox, objects/label")
    numbers = features(label=lambda k: k.Scalar(dtype=np.int64))
    assert_refused(lambda: tfds_fields.find_fields("mine", numbers, []), "no field of classes", "label (Scalar)")
