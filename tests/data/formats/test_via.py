"""VIA: versions, shapes, the attribute that is the class, and damaged files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from imgloc.data.annotated.reader import read_folder
from imgloc.data.formats import via
from tests.damaged_folders import assert_cuts_are_safe, assert_damage_is_safe, assert_types_are_safe
from tests.picture_folders import damaged, put, touch
from tests.refusals import assert_refused

RECT = {"name": "rect", "x": 1, "y": 2, "width": 30, "height": 40}


def region(attributes: dict[str, Any], shape: dict[str, Any] = RECT) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": attributes}


def images(*regions: dict[str, Any], version: int = 2) -> dict[str, Any]:
    found = {str(i): each for i, each in enumerate(regions)} if version == 1 else list(regions)
    return {"a.jpg99": {"filename": "a.jpg", "size": 99, "regions": found, "file_attributes": {"caption": "none"}}}


def put_json(folder: Path, value: Any, name: str = "via_region_data_dot_json") -> None:
    touch(folder, "a.jpg")
    put(folder, **{name: json.dumps(value)})


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("project", [False, True])
def test_versions_and_projects(version: int, project: bool, tmp_path: Path) -> None:
    content = images(region({"kind": "cat"}), region({"kind": "dog"}), version=version)
    put_json(tmp_path, {"_via_settings": {"core": {}}, "_via_img_metadata": content, "_via_attributes": {}} if project else content)
    assert via.recognise(tmp_path)
    annotated = via.read(tmp_path)
    (entry,) = annotated.images
    assert (entry.file, entry.names, entry.where) == ("a.jpg", ("cat", "dog"), "via_region_data.json images[0]")
    assert entry.boxes_nx4.tolist() == [[1, 2, 31, 42]] * 2
    assert (annotated.classes, annotated.faults) == (("cat", "dog"), ())


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ({"name": "polygon", "all_points_x": [5, 9, 2], "all_points_y": [1, 4, 8]}, [2, 1, 9, 8]),
        ({"name": "circle", "cx": 10, "cy": 20, "r": 5.5}, [4.5, 14.5, 15.5, 25.5]),
        ({"name": "ellipse", "cx": 10, "cy": 20, "rx": 5, "ry": 2}, [5, 18, 15, 22]),
        ({"name": "ellipse", "cx": 10, "cy": 20, "rx": 5, "ry": 2, "theta": math.pi / 2}, [8, 15, 12, 25]),
    ],
)
def test_the_box_of_each_shape(shape: dict[str, Any], box: list[float], tmp_path: Path) -> None:
    put_json(tmp_path, images(region({"kind": "cat"}, shape)))
    assert via.read(tmp_path).images[0].boxes_nx4.tolist() == [pytest.approx(box)]


def test_points_and_lines_are_left_out_and_need_no_class(tmp_path: Path) -> None:
    shapes = ({"name": "point", "cx": 1, "cy": 2}, {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [3, 4]})
    put_json(tmp_path, images(region({"kind": "cat"}), *(region({}, shape) for shape in shapes)))
    annotated = via.read(tmp_path)
    assert annotated.images[0].names == ("cat",)
    assert [fault.kind for fault in annotated.faults] == ["unboxed_shape"]


@pytest.mark.parametrize("value", ["cat", {"cat": True, "dog": False}, {"cat": "true", "dog": "false"}, " cat "])
def test_values_of_text_options_and_boxes(value: Any, tmp_path: Path) -> None:
    put_json(tmp_path, images(region({"kind": value})))
    assert via.read(tmp_path).classes == ("cat",)


@pytest.mark.parametrize("value", [{"cat": True, "dog": True}, {"cat": False, "dog": False}, 7])
def test_a_value_that_names_no_single_class_is_a_fault(value: Any, tmp_path: Path) -> None:
    put_json(tmp_path, images(region({"kind": value}), region({"kind": "dog"})))
    annotated = via.read(tmp_path)
    assert annotated.images[0].names == ("dog",)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("bad_annotation", "via_region_data.json images[0]")]


def test_the_class_is_the_one_attribute_that_all_regions_have(tmp_path: Path) -> None:
    first = {"kind": "cat", "note": "", "truncated": {}}
    put_json(tmp_path, images(region(first), region({"kind": "dog", "note": "small", "truncated": {"yes": True}})))
    assert via.read(tmp_path).classes == ("cat", "dog")
    missing = "no region has the attribute 'kinds'"
    assert_refused(lambda: via.read(tmp_path, class_attribute="kinds"), missing, "possible: kind, note, truncated")
    put_json(tmp_path, images(region({"kind": "cat", "color": "red"}), region({"kind": "dog", "color": "blue"})))
    assert_refused(lambda: via.read(tmp_path), "attributes color, kind", "set data.options.class_attribute")
    assert via.read(tmp_path, class_attribute="color").classes == ("blue", "red")
    assert read_folder(tmp_path, class_attribute="kind").classes == ("cat", "dog")
    put_json(tmp_path, images(region({"kind": "cat"}), region({"color": "blue"})))
    assert_refused(lambda: via.read(tmp_path), "none of which all regions have")
    put_json(tmp_path, images(region({"kind": "cat"}), region({})))
    annotated = via.read(tmp_path)
    assert (annotated.classes, [fault.kind for fault in annotated.faults]) == (("cat",), ["bad_annotation"])
    put_json(tmp_path, images(region({}), region({})))
    assert via.read(tmp_path).classes == ("object",)


def test_splits_are_those_of_files_and_folders(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "val/a.jpg")
    for split in ("train", "val"):
        put(tmp_path, **{f"{split}__via_region_data_dot_json": json.dumps(images(region({"kind": "cat"})))})
    assert [(entry.file, entry.split) for entry in via.read(tmp_path).images] == [("train/a.jpg", "train"), ("val/a.jpg", "validation")]


@pytest.mark.parametrize(
    "shape",
    [{}, {"name": "star"}, {"name": "rect", "x": 1}, {**RECT, "x": None}, {"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1]},
     {"name": "polygon"}, {"name": "circle", "cx": 1, "cy": 2, "r": "NaN"}],
)  # fmt: skip
def test_a_bad_region_is_a_fault_and_the_others_are_kept(shape: dict[str, Any], tmp_path: Path) -> None:
    put_json(tmp_path, images(region({"kind": "cat"}, shape), region({"kind": "dog"})))
    annotated = via.read(tmp_path)
    assert [fault.kind for fault in annotated.faults] == ["bad_annotation"]
    assert annotated.faults[0].what.startswith("region 1: ")
    assert annotated.images[0].names == ("dog",)


def test_other_json_files_are_not_recognised(tmp_path: Path) -> None:
    for value in ({}, [], {"regions": []}, {"a": {"regions": 3}}, {"images": [], "annotations": [], "categories": []}):
        put_json(tmp_path, value)
        assert not via.recognise(tmp_path), value
        assert not via.read(tmp_path).images


SAMPLE = {"_via_settings": {}, "_via_img_metadata": images(region({"kind": "cat"}), region({"kind": {"dog": True}}))}


def test_cut_files_and_values_of_other_types(tmp_path: Path) -> None:
    put_json(tmp_path, SAMPLE, "x_dot_json")
    assert_cuts_are_safe(via, tmp_path, "x.json")
    assert_types_are_safe(via, "x.json", SAMPLE, "a.jpg")
    polygon = {"name": "polygon", "all_points_x": [5, 9], "all_points_y": [1, 4]}
    assert_types_are_safe(via, "x.json", images(region({"kind": "cat"}, polygon), version=1), "a.jpg")


@settings(max_examples=100)
@given(data=damaged(json.dumps(SAMPLE), json.dumps(images(region({"kind": "cat"}), version=1))))
def test_damaged_files_give_faults_and_open_nothing_outside(data: bytes) -> None:
    assert_damage_is_safe(via, "a_dot_json", data)
