"""labelme: shapes, groups, places of the files, labels.txt, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.data.formats import labelme
from tests.damaged_folders import assert_cuts_are_safe, assert_damage_is_safe, assert_types_are_safe
from tests.picture_folders import damaged, put, touch


def shape(kind: str, *points: tuple[float, float], label: str = "cat", group: int | None = None) -> dict[str, Any]:
    return {"label": label, "points": [list(point) for point in points], "group_id": group, "shape_type": kind, "flags": {}}


def content(*shapes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    image = {"imagePath": "a.jpg", "imageData": None, "imageHeight": 40, "imageWidth": 50}
    return {"version": "5.4.1", "flags": {"blurry": True}, "shapes": list(shapes), **image, **changes}


def put_json(folder: Path, name: str, value: Any) -> None:
    put(folder, **{name: json.dumps(value)})


@pytest.mark.parametrize(
    ("made", "box"),
    [
        (shape("rectangle", (1, 2), (30, 40)), [1, 2, 30, 40]), (shape("rectangle", (30, 2), (1, 40)), [1, 2, 30, 40]),
        (shape("polygon", (5, 1), (9, 4), (2, 8)), [2, 1, 9, 8]), (shape("circle", (10, 20), (13, 24)), [5, 15, 15, 25]),
        (shape("mask", (1, 2), (4, 5)), [1, 2, 5, 6]), (shape("oriented_rectangle", (5, 1), (9, 4), (6, 8), (2, 5)), [2, 1, 9, 8]),
        (shape("rectangle", (1, 2), (30, 2), (30, 40), (1, 40)), [1, 2, 30, 40]),
        (shape("rotation", (5, 1), (9, 4), (6, 8), (2, 5)), [2, 1, 9, 8]),
        (shape("quadrilateral", (5, 1), (9, 4), (6, 8), (2, 5)), [2, 1, 9, 8]),
        ({**shape("polygon", (5, 1), (9, 4), (2, 8)), "shape_type": None}, [2, 1, 9, 8]),
    ],
)  # fmt: skip
def test_the_box_of_each_shape(made: dict[str, Any], box: list[float], tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put_json(tmp_path, "a_dot_json", content(made))
    assert labelme.recognise(tmp_path)
    annotated = labelme.read(tmp_path)
    (entry,) = annotated.images
    assert (entry.boxes_nx4.tolist(), entry.names, entry.width, entry.height, entry.where) == ([box], ("cat",), 50, 40, "a.json")
    assert not annotated.faults


@pytest.mark.parametrize("kind", ["point", "points", "line", "linestrip"])
def test_points_and_lines_are_left_out_with_a_note(kind: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put_json(tmp_path, "a_dot_json", content(shape(kind, (1, 2), (3, 4)), shape("rectangle", (1, 2), (3, 4))))
    annotated = labelme.read(tmp_path)
    assert len(annotated.images[0].names) == 1
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("unboxed_shape", "a.json")]


def test_shapes_of_one_label_and_group_are_one_object(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    parts = [
        shape("rectangle", (1, 2), (5, 6), group=1), shape("rectangle", (1, 2), (5, 6)), shape("rectangle", (20, 9), (9, 3), group=1),
        shape("rectangle", (7, 7), (8, 8), group=2), shape("rectangle", (7, 7), (8, 9), group=1, label="dog"),
        shape("rectangle", (0, 1), (5, 6)),
    ]  # fmt: skip
    put_json(tmp_path, "a_dot_json", content(*parts))
    (entry,) = labelme.read(tmp_path).images
    assert list(zip(entry.names, entry.boxes_nx4.tolist(), strict=True)) == [
        ("cat", [1, 2, 20, 9]), ("cat", [1, 2, 5, 6]), ("cat", [7, 7, 8, 8]), ("dog", [7, 7, 8, 9]), ("cat", [0, 1, 5, 6]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "file"),
    [("..\\images\\b.jpg", "images/b.jpg"), ("../images/b.jpg", "images/b.jpg"), ("a.jpg", "labels/a.jpg"), ("", "labels/a.jpg"),
     ("..\\..\\elsewhere\\a.jpg", "labels/a.jpg"), ("C:\\data\\a.jpg", "labels/a.jpg"), ("/data/a.jpg", "labels/a.jpg"),
     ("b.jpg", "images/b.jpg")],
)  # fmt: skip
def test_the_image_is_that_of_the_path_or_beside_the_file(path: str, file: str, tmp_path: Path) -> None:
    touch(tmp_path, "labels/a.jpg", "images/b.jpg", "other/b.jpg" if path.startswith("..") else "other/c.jpg")
    put_json(tmp_path, "labels__a_dot_json", content(shape("rectangle", (1, 2), (3, 4)), imagePath=path))
    annotated = labelme.read(tmp_path)
    assert [entry.file for entry in annotated.images] == [file]
    assert not annotated.faults


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "C:\\a.jpg", 7])
def test_a_path_outside_the_folder_is_a_fault(path: Any, tmp_path: Path) -> None:
    put_json(tmp_path, "labels__a_dot_json", content(imagePath=path))
    annotated = labelme.read(tmp_path)
    assert not annotated.images
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("outside_folder", "labels/a.json")]


def test_labels_have_the_order_of_their_list(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    rectangles = [shape("rectangle", (1, 2), (3, 4), label=label) for label in ("zebra", "cat", "__ignore__", "bird")]
    put_json(tmp_path, "a_dot_json", content(*rectangles))
    put(tmp_path, labels_dot_txt="__ignore__\n_background_\ndog\nzebra\n\n")
    annotated = labelme.read(tmp_path)
    assert annotated.classes == ("dog", "zebra", "bird", "cat")
    assert annotated.images[0].names == ("zebra", "cat", "bird")
    assert [fault.kind for fault in annotated.faults] == ["ignored_box"]


def test_the_pixels_may_come_first(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    value = content(shape("rectangle", (1, 2), (3, 4)), imageData="/9j" * 50_000)
    put(tmp_path, a_dot_json=json.dumps(dict(sorted(value.items()))))
    assert labelme.recognise(tmp_path)
    assert len(labelme.read(tmp_path).images) == 1


@pytest.mark.parametrize(
    "bad",
    [shape("rectangle", (1, 2)), shape("rectangle", (1, 2), (3, 4), (5, 6)),
     shape("circle", (1, 2), (3, 4), (5, 6)), shape("polygon"), shape("star", (1, 2), (3, 4)),
     shape("rectangle", (1, 2), (3, float("nan"))), shape("rectangle", (1, 2), (3, 4), label=" "), {"label": "cat"}, {}],
)  # fmt: skip
def test_a_bad_shape_is_a_fault_and_the_others_are_kept(bad: dict[str, Any], tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put_json(tmp_path, "a_dot_json", content(bad, shape("rectangle", (1, 2), (3, 4))))
    annotated = labelme.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("bad_annotation", "a.json")]
    assert annotated.faults[0].what.startswith("shape 1: ")
    assert annotated.images[0].boxes_nx4.tolist() == [[1, 2, 3, 4]]


def test_other_json_files_are_ignored_and_an_empty_one_beside_an_image_is_a_fault(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put_json(tmp_path, "a_dot_json", content())
    put(tmp_path, settings_dot_json='{"shapes": "round"}', b_dot_json="")
    faults = labelme.read(tmp_path).faults
    assert [(fault.kind, fault.where) for fault in faults] == [("bad_annotation", "b.json")]


SAMPLE = content(shape("rectangle", (1, 2), (30, 40)), shape("polygon", (5, 1), (9, 4), (2, 8), label="dog", group=3))


def test_cut_files_and_values_of_other_types(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put_json(tmp_path, "a_dot_json", SAMPLE)
    assert_cuts_are_safe(labelme, tmp_path, "a.json")
    assert_types_are_safe(labelme, "a.json", SAMPLE, "a.jpg")


@settings(max_examples=100)
@given(data=damaged(json.dumps(SAMPLE)), labels=st.just(b"") | damaged("__ignore__\ncat\ndog\n"))
def test_damaged_files_give_faults_and_open_nothing_outside(data: bytes, labels: bytes) -> None:
    assert_damage_is_safe(labelme, "a_dot_json", data)
    assert_damage_is_safe(labelme, "labels_dot_txt", labels, a_dot_json=json.dumps(SAMPLE))
