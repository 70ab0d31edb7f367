"""COCO: its layouts, crowds and categories, writing and reading back, and damaged files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from imgloc.data.annotated.annotations import AnnotatedFolder
from imgloc.data.formats import coco
from tests.picture_folders import annotated_folders, assert_same, damaged, nothing_opened_outside, put, touch
from tests.refusals import assert_refused

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "cat", "supercategory": "animal"}]


def content(**changes: Any) -> dict[str, Any]:
    """A COCO file with two images: one with two boxes and a crowd, one with none."""
    return {
        "info": {"year": 2017},
        "images": [{"id": 7, "file_name": "a.jpg", "width": 50, "height": 40}, {"id": 9, "file_name": "b.jpg", "width": 60, "height": 70}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2.5, 30, 40], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 10.25, 8]},
            {"id": 3, "image_id": 7, "category_id": 3, "bbox": [0, 0, 50, 40], "iscrowd": 1},
        ],
        "categories": CATEGORIES,
        **changes,
    }


def put_json(folder: Path, name: str, value: Any) -> None:
    put(folder, **{name: json.dumps(value)})


def test_layout_of_coco(tmp_path: Path) -> None:
    touch(tmp_path, "train2017/a.jpg", "train2017/b.jpg", "images/val2017/a.jpg", "images/val2017/b.jpg")
    for split in ("train", "val"):
        put_json(tmp_path, f"annotations__instances_{split}2017_dot_json", content())
        put_json(tmp_path, f"annotations__captions_{split}2017_dot_json", content())
    assert coco.recognise(tmp_path)
    annotated = coco.read(tmp_path)
    assert not annotated.faults
    assert annotated.classes == ("cat", "dog"), "by id"
    assert {entry.file: entry.split for entry in annotated.images} == {
        "train2017/a.jpg": "train", "train2017/b.jpg": "train", "images/val2017/a.jpg": "validation", "images/val2017/b.jpg": "validation",
    }  # fmt: skip
    a = annotated.images[-2]
    assert (a.names, a.width, a.height, a.where) == (("dog", "cat"), 50, 40, "annotations/instances_train2017.json images[0]")
    assert a.boxes_nx4.tolist() == [[1, 2.5, 31, 42.5], [0, 0, 10.25, 8]]
    assert (a.crowd_boxes_mx4.tolist(), a.crowd_names, a.difficult) == ([[0, 0, 50, 40]], ("cat",), ())
    assert annotated.images[-1].boxes_nx4.shape == (0, 4)


def test_a_file_in_the_folder_of_its_split(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        touch(tmp_path, f"{split}/a.jpg", f"{split}/b.jpg")
        put_json(tmp_path, f"{split}___annotations_dot_coco_dot_json", content())
    annotated = coco.read(tmp_path)
    assert sorted({(entry.file.split("/")[0], entry.split) for entry in annotated.images}) == [
        ("test", "test"), ("train", "train"), ("valid", "validation")
    ]  # fmt: skip
    assert len(annotated.images) == 6
    assert not annotated.faults


def test_an_image_in_the_folder_of_another_split_is_a_different_image(tmp_path: Path) -> None:
    touch(tmp_path, "val/a.jpg")
    put_json(tmp_path, "annotations__instances_train_dot_json", content())
    files = {entry.file for entry in coco.read(tmp_path).images}
    assert files == {"annotations/train/a.jpg", "annotations/train/b.jpg"}, "their expected places"


def annotation(**changes: Any) -> dict[str, Any]:
    return {"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], **changes}


@pytest.mark.parametrize(
    ("changes", "kind", "where"),
    [
        ({"annotations": [annotation(category_id=4)]}, "unknown_class", "x.json annotations[0]"),
        ({"annotations": [annotation(category_id=[[]])]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [annotation(image_id=8)]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [annotation(image_id=7.5)]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [annotation(category_id=None)]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [{**annotation(), "\ud800": 1}]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [annotation(), annotation(bbox=[1, 2, 3])]}, "bad_annotation", "x.json annotations[1]"),
        ({"annotations": [annotation(bbox=[1, 2, 3, float("nan")])]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [annotation(bbox=[1, 2, 3, 10**400])]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [annotation(bbox=[1, 2, 3, True])]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [5]}, "bad_annotation", "x.json annotations[0]"),
        ({"annotations": [], "images": [{"id": 1, "file_name": "../a.jpg"}]}, "outside_folder", "x.json images[0]"),
        ({"annotations": [], "images": [{"id": 1, "file_name": "a\ud800.jpg"}]}, "outside_folder", "x.json images[0]"),
        ({"annotations": [], "images": [{"id": 1}]}, "bad_annotation", "x.json images[0]"),
        ({"annotations": [], "images": [{"id": 1, "file_name": "a.jpg"}] * 2}, "duplicate_annotation", "x.json images[1]"),
        ({"annotations": [], "categories": [{"id": 1, "name": ""}]}, "bad_annotation", "x.json categories[0]"),
        ({"annotations": [], "categories": [{"id": 1, "name": "a\nb"}]}, "bad_annotation", "x.json categories[0]"),
        ({"annotations": [], "categories": [{"id": True, "name": "a"}]}, "bad_annotation", "x.json categories[0]"),
        ({"annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1.0, "name": "b"}]}, "bad_annotation", "x.json categories[1]"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_a_fault(tmp_path: Path, changes: dict[str, Any], kind: str, where: str) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put_json(tmp_path, "x_dot_json", content(**changes))
    annotated = coco.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [(kind, where)]
    json.dumps([fault.what for fault in annotated.faults]).encode()
    if kind == "unknown_class":
        assert annotated.images[0].names == ("",)


def test_ids_may_be_integral_floats_and_numbers_may_be_strings(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    entry = annotation(image_id=7.0, category_id=3.0, bbox=["1", "2.5", "3", "4"])
    put_json(tmp_path, "x_dot_json", content(annotations=[entry]))
    annotated = coco.read(tmp_path)
    assert not annotated.faults
    assert (annotated.images[0].names, annotated.images[0].boxes_nx4.tolist()) == (("cat",), [[1, 2.5, 4, 6.5]])


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"a":' * 100_000, "{", "nul", "9" * 5000, b"\xff\xfe{}", '{"images": [\0'])
def test_a_file_that_is_not_json_is_a_fault(tmp_path: Path, text: str | bytes) -> None:
    put(tmp_path, x_dot_json=text)
    annotated = coco.read(tmp_path)
    assert [fault.kind for fault in annotated.faults] == (["bad_file"] if text else [])
    assert not annotated.images


def test_other_json_files_are_ignored(tmp_path: Path) -> None:
    put_json(tmp_path, "package_dot_json", {"images": 3})
    assert not coco.recognise(tmp_path)
    assert not coco.read(tmp_path).faults


def test_categories_alone_are_no_coco_file_unless_the_lists_may_follow(tmp_path: Path) -> None:
    put_json(tmp_path, "notes_dot_json", {"categories": CATEGORIES, "info": {"contributor": "Label Studio"}})
    assert not coco.recognise(tmp_path)
    many = [{"id": number, "name": f"class {number}", "supercategory": "thing" * 10} for number in range(1000)]
    put_json(tmp_path, "lvis_dot_json", {"categories": many, **content(categories=many)})
    assert coco.recognise(tmp_path)


def test_one_category_with_two_names_is_a_fault(tmp_path: Path) -> None:
    put_json(tmp_path, "train_dot_json", content())
    put_json(tmp_path, "val_dot_json", content(categories=[{"id": 3, "name": "dog"}, {"id": 18, "name": "cat"}]))
    assert [fault.kind for fault in coco.read(tmp_path).faults] == ["conflicting_names"] * 2


def test_other_conventions_are_refused(tmp_path: Path) -> None:
    assert_refused(lambda: coco.read(tmp_path, convention="inclusive_from_1"), "possible: edges")


@given(expected=annotated_folders(whole=False))
def test_written_annotations_are_read_back(expected: AnnotatedFolder) -> None:
    with tempfile.TemporaryDirectory() as name:
        touch(Path(name), *(entry.file for entry in expected.images))
        coco.write(expected, Path(name))
        assert coco.recognise(Path(name))
        annotated = coco.read(Path(name))
        assert_same(annotated, expected, within=1e-9, crowds=True)
        assert annotated.classes == expected.classes


@settings(max_examples=200)
@given(content=damaged(json.dumps(content())))
def test_damaged_files_give_faults_and_open_nothing_outside(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        touch(folder, "a.jpg")
        put(folder, a_dot_json=content)
        with nothing_opened_outside(folder):
            coco.recognise(folder)
            annotated = coco.read(folder)
        assert all(np.isfinite(entry.boxes_nx4).all() for entry in annotated.images)
