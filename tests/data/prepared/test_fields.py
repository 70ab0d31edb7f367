"""Which field of a TFDS data set is what: the table against TFDS's own builders, and what is inferred for others."""

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
    made = kinds.FeaturesDict({"image": kinds.Image(shape=(None, None, 3)), **{key: make(kinds) for key, make in more.items()}})
    return tfds_fields.flat(made)


def label(kinds: Any) -> Any:
    return kinds.ClassLabel(names=["a", "b"])


def objects(kinds: Any) -> Any:
    return kinds.Sequence({"bbox": kinds.BBoxFeature(), "label": kinds.ClassLabel(num_classes=3), "area": kinds.Scalar(dtype=np.int64)})


def test_a_data_set_is_found_by_its_name_with_or_without_configuration_and_version() -> None:
    found = tfds_fields.fields_in_table
    assert found("voc/2012") != found("voc/2007") == found("voc") is not None
    assert found("coco/2017") == found("coco/2014:1.1.0") == found("coco") is not None
    assert found("imagenet2012:5.1.0") == found("imagenet2012")
    assert found("open_images_v4/300k") == found("open_images_v4")
    assert found("no_such_set") is None


@pytest.mark.parametrize("name", [name for name in tfds_fields.TABLE if name not in ("coco", "tiny_imagenet")])
def test_the_table_names_fields_that_the_builders_have(name: str) -> None:
    import tensorflow_datasets

    info = tensorflow_datasets.builder(name, data_dir="/nowhere", file_format="array_record").info
    fields = tfds_fields.fields_of(name, tfds_fields.flat(info.features), [])
    named = {fields.image, fields.boxes, fields.labels, fields.label, fields.id, *fields.without} - {""}
    assert named <= set(tfds_fields.flat(info.features))
    kinds = {fields.boxes: "BBoxFeature", fields.labels: "ClassLabel", fields.label: "ClassLabel", fields.id: "Text"}
    for field, kind in kinds.items():
        assert not field or kind in repr(tfds_fields.flat(info.features)[field]), field


def test_usual_names_are_inferred() -> None:
    detection = tfds_fields.fields_of("mine", features(objects=objects, id=lambda k: k.Text()), ["train", "validation", "test"])
    assert detection == Fields(boxes="objects/bbox", labels="objects/label", id="id")
    single = tfds_fields.fields_of("mine", features(bbox=lambda k: k.BBoxFeature(), label=label), ["train", "test"])
    assert single == Fields(boxes="bbox", label="label", splits=(*HELD_OUT, "test"))
    other = features(things=lambda k: k.Sequence({"where": k.BBoxFeature()}), label=label)
    assert tfds_fields.fields_of("mine", other, ["train"]) == Fields(
        boxes="things/where", label="label", splits=("train[:80%]", "train[80%:90%]", "train[90%:]")
    )
    plain = tfds_fields.fields_of("mine", features(label=label, file_name=lambda k: k.Text()), ["train", "val"])
    assert plain == Fields(label="label", id="file_name", splits=(*HELD_OUT, "val"))


def test_what_cannot_be_inferred_is_refused_with_the_fields_there_are() -> None:
    unlabelled = features(caption=lambda k: k.Text())
    assert_refused(lambda: tfds_fields.fields_of("mine", unlabelled, []), "mine of TFDS", "no field of classes", "caption (Text)")
    two = tfds_fields.flat({key: feature for key, feature in features(label=label).items() if key != "image"})
    assert_refused(lambda: tfds_fields.fields_of("mine", two, []), "no field image", "label (ClassLabel)")
    depth = {**features(label=label), "image": features(x=lambda k: k.Image(shape=(None, None, 1), dtype=np.float32))["x"]}
    assert_refused(lambda: tfds_fields.fields_of("mine", depth, []), "no field of images of uint8")
    assert_refused(lambda: tfds_fields.fields_of("voc/2007", features(label=label), []), "no field objects/bbox, objects/label")
    numbers = features(label=lambda k: k.Scalar(dtype=np.int64))
    assert_refused(lambda: tfds_fields.fields_of("mine", numbers, []), "no field of classes", "label (Scalar)")
