"""Create ML: conventions, older keys, splits, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from imgloc.data.formats import coco, createml
from tests.damaged_folders import assert_cuts_are_safe, assert_damage_is_safe, assert_types_are_safe
from tests.picture_folders import damaged, put, touch
from tests.refusals import assert_refused

COORDINATES = {"x": 20, "y": 30.5, "width": 10, "height": 5}
SAMPLE = [
    {"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": COORDINATES}, {"label": "dog", "coordinates": COORDINATES}]},
    {"image": "b.jpg", "annotations": []},
]


def put_json(folder: Path, name: str, value: Any) -> None:
    put(folder, **{name: json.dumps(value)})


@pytest.mark.parametrize("keys", [("image", "annotations"), ("imagefilename", "annotation"), ("imageFilename", "annotations")])
def test_x_and_y_are_the_center(keys: tuple[str, str], tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.jpg")
    put_json(tmp_path, "labels_dot_json", [dict(zip(keys, item.values(), strict=True)) for item in SAMPLE])
    assert createml.recognise(tmp_path)
    assert not coco.recognise(tmp_path)
    annotated = createml.read(tmp_path)
    a, b = annotated.images
    assert (a.file, a.names, a.relative, a.where) == ("images/a.jpg", ("cat", "dog"), False, "labels.json images[0]")
    assert a.boxes_nx4.tolist() == [[15, 28, 25, 33]] * 2
    assert (b.file, b.boxes_nx4.shape) == ("images/b.jpg", (0, 4))
    assert (annotated.classes, annotated.meaning, annotated.faults) == (("cat", "dog"), "center", ())


@pytest.mark.parametrize(
    ("convention", "box", "relative", "meaning"),
    [("center", [15, 28, 25, 33], False, "center"), ("top_left", [20, 30.5, 30, 35.5], False, "xywh"),
     ("normalized_center", [15, 28, 25, 33], True, "center"), ("normalized_top_left", [20, 30.5, 30, 35.5], True, "xywh")],
)  # fmt: skip
def test_conventions(convention: str, box: list[float], relative: bool, meaning: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put_json(tmp_path, "a_dot_json", SAMPLE)
    annotated = createml.read(tmp_path, convention=convention)
    entry = annotated.images[0]
    assert (entry.boxes_nx4[0].tolist(), entry.relative, annotated.meaning) == (box, relative, meaning)


def test_an_unknown_convention_is_refused(tmp_path: Path) -> None:
    assert_refused(lambda: createml.read(tmp_path, convention="top-left"), "did you mean 'top_left'?", "normalized_center")


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"image": "a.jpg"}, "bad_annotation"), ({"annotations": []}, "bad_annotation"),
        ({"image": 3, "annotations": []}, "bad_annotation"), ("a.jpg", "bad_annotation"),
        ({"image": "../a.jpg", "annotations": []}, "outside_folder"),
        ({"image": "c.jpg", "annotations": [{"label": "cat"}]}, "bad_annotation"),
        ({"image": "c.jpg", "annotations": [{"label": "", "coordinates": COORDINATES}]}, "bad_annotation"),
        ({"image": "c.jpg", "annotations": [{"label": "cat", "coordinates": {**COORDINATES, "x": "wide"}}]}, "bad_annotation"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_a_fault_and_the_others_are_kept(item: Any, kind: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    put_json(tmp_path, "x_dot_json", [*SAMPLE, item])
    annotated = createml.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [(kind, "x.json images[2]")]
    assert [entry.file for entry in annotated.images][:2] == ["a.jpg", "b.jpg"]


def test_lists_of_other_tools_are_not_recognised(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    for value in ([{"data": {"image": "a.jpg"}, "annotations": []}], [{"image": "a.jpg"}], [], {"image": "a.jpg", "annotations": []}):
        put_json(tmp_path, "x_dot_json", value)
        assert not createml.recognise(tmp_path), value
        assert not createml.read(tmp_path).images


def test_cut_files_and_values_of_other_types(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put_json(tmp_path, "x_dot_json", SAMPLE)
    assert_cuts_are_safe(createml, tmp_path, "x.json")
    assert_types_are_safe(createml, "x.json", SAMPLE, "a.jpg", "b.jpg")


@settings(max_examples=100)
@given(data=damaged(json.dumps(SAMPLE)))
def test_damaged_files_give_faults_and_open_nothing_outside(data: bytes) -> None:
    assert_damage_is_safe(createml, "a_dot_json", data)
