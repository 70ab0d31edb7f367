"""CSV: the headers in use, tables that repeat one another, writing and reading back, and damaged files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from imgloc.data.annotated.annotations import AnnotatedFolder
from imgloc.data.formats import csv
from tests.picture_folders import annotated_folders, assert_same, damaged, nothing_opened_outside, put, touch
from tests.refusals import assert_refused

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
TENSORFLOW = HEADER + "a.jpg,50,40,cat,1,2,30,40\na.jpg,50,40,dog,5,6,7,8\nb.jpg,60,70,cat,0,0,60,70\n"
SKU = "a.jpg,1,2,30,40,object,50,40\nb.jpg,1,2,3,4,object,50,40\n"
OPEN_IMAGES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\na,x,/m/01,1,0.25,0.5,0.125,1,0\n"


def test_pixels_with_sizes(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.jpg")
    put(tmp_path, labels_dot_csv="\ufeff" + TENSORFLOW.replace("\n", "\r\n"))
    assert csv.recognise(tmp_path)
    annotated = csv.read(tmp_path)
    assert not annotated.faults
    assert annotated.classes == ("cat", "dog")
    a, b = annotated.images
    assert (a.file, a.names, a.width, a.height, a.where) == ("images/a.jpg", ("cat", "dog"), 50, 40, "labels.csv:2")
    assert a.boxes_nx4.tolist() == [[1, 2, 30, 40], [5, 6, 7, 8]]
    assert (b.file, b.boxes_nx4.tolist(), b.where) == ("images/b.jpg", [[0, 0, 60, 70]], "labels.csv:4")
    assert csv.read(tmp_path, convention="inclusive_from_1").images[0].boxes_nx4[0].tolist() == [0, 1, 30, 40]


@pytest.mark.parametrize(
    "text",
    [
        "image_name,x_min,y_min,x_max,y_max,class_name\na.jpg,1,2,30,40,cat\n",
        "image_path;label;x1;y1;x2;y2\nimages/a.jpg;cat;1;2;30;40\n",
        "Class\tX0\tY0\tX1\tY1\tFile Name\ncat\t1\t2\t30\t40\ta.jpg\n",
        'left,"top",right,bottom,image,category\n1,2,30,40,"./a.jpg",cat\n',
        "a.jpg,1,2,30,40,cat\n", "a.jpg,1,2,30,40,cat,50,40",
    ],
)  # fmt: skip
def test_columns_are_known_by_their_names(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "images/a.jpg")
    put(tmp_path, x_dot_csv=text)
    assert csv.recognise(tmp_path)
    (entry,) = csv.read(tmp_path).images
    assert (entry.file, entry.names, entry.boxes_nx4.tolist()) == ("images/a.jpg", ("cat",), [[1, 2, 30, 40]])


def test_open_images_are_relative_and_named_without_a_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "validation/a.jpg", "a.txt")
    put(tmp_path, validation_annotations_bbox_dot_csv=OPEN_IMAGES)
    (entry,) = csv.read(tmp_path).images
    assert (entry.file, entry.names, entry.relative, entry.split) == ("validation/a.jpg", ("/m/01",), True, "validation")
    assert entry.boxes_nx4.tolist() == [[0.25, 0.125, 0.5, 1]]


def test_only_open_images_are_relative(tmp_path: Path) -> None:
    put(tmp_path, x_dot_csv="ImageID,label_name,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,3,4\n")
    assert not csv.read(tmp_path).images[0].relative


def test_a_table_without_classes_has_a_default_class_and_empty_cells_are_no_box(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put(tmp_path, x_dot_csv="path,xmin,ymin,xmax,ymax\na.jpg,1,2,3,4\nb.jpg,,,,\n")
    annotated = csv.read(tmp_path)
    assert [entry.names for entry in annotated.images] == [("object",), ()]
    assert not annotated.faults


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "id,label\n1,cat\n", "", "\n", "filename,xmin,ymin,xmax\n"])
def test_other_tables_are_ignored(tmp_path: Path, text: str) -> None:
    put(tmp_path, x_dot_csv=text)
    assert not csv.recognise(tmp_path)
    assert not csv.read(tmp_path).images


def test_a_table_of_all_images_beside_tables_of_splits_adds_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    lines = TENSORFLOW.splitlines(keepends=True)
    put(tmp_path, train_dot_csv="".join(lines[:3]), test_dot_csv=lines[0] + lines[3])
    put(tmp_path, all_dot_csv=lines[0] + lines[2] + lines[1] + lines[3])
    annotated = csv.read(tmp_path)
    assert {entry.file: (entry.split, len(entry.names)) for entry in annotated.images} == {"a.jpg": ("train", 2), "b.jpg": ("test", 1)}
    assert not annotated.faults
    put(tmp_path, all_dot_csv=TENSORFLOW.replace("30", "31"), val_dot_csv=lines[0] + lines[1])
    annotated = csv.read(tmp_path)
    assert {entry.file: (entry.split, len(entry.names)) for entry in annotated.images} == {"a.jpg": ("validation", 1), "b.jpg": ("test", 1)}
    faults = [(fault.kind, fault.where) for fault in annotated.faults]
    assert faults == [("duplicate_image", "train.csv:2"), ("duplicate_annotation", "all.csv:2")]


def test_folders_give_splits_if_no_table_does(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "train/b.jpg", "val/c.jpg")
    put(tmp_path, x_dot_csv="file,x1,y1,x2,y2\na.jpg,1,2,3,4\nb.jpg,1,2,3,4\nval/c.jpg,1,2,3,4\n")
    assert [entry.split for entry in csv.read(tmp_path).images] == ["train", "train", "validation"]
    put(tmp_path, test_dot_csv="file,x1,y1,x2,y2\na.jpg,1,2,3,4\n")
    annotated = csv.read(tmp_path)
    assert [entry.split for entry in annotated.images] == ["test", "", ""]
    assert not annotated.faults


def test_columns_give_the_split_and_the_group(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    put(tmp_path, x_dot_csv="file,x1,y1,x2,y2,split,clip\na.jpg,1,2,3,4,TRAIN,k\nb.jpg,1,2,3,4,valid,\nc.jpg,1,2,3,4,?,l\n")
    for _ in range(2):
        annotated = csv.read(tmp_path)
        assert [(entry.split, entry.group) for entry in annotated.images] == [("train", "k"), ("validation", ""), ("", "l")]
        (tmp_path / "x.csv").unlink(missing_ok=True)
        csv.write(annotated, tmp_path)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("../a.jpg,1,1,cat,1,2,3,4", "outside_folder"), ("/a.jpg,1,1,cat,1,2,3,4", "outside_folder"),
        ("C:\\a.jpg,1,1,cat,1,2,3,4", "outside_folder"),
        (",1,1,cat,1,2,3,4", "bad_annotation"), ("a.jpg,1,1,cat,1,2,x,4", "bad_annotation"), ("a.jpg,1,1,cat,1,2,nan,4", "bad_annotation"),
        ("a.jpg,1,1,cat,1,2,1e99,4", "bad_annotation"), ("a.jpg,1,1,,1,2,3,4", "bad_annotation"), ("a.jpg,1,1,cat,1,2", "bad_annotation"),
        ("a.jpg,1,1,cat," + "9" * 200_000 + ",2,3,4", "bad_annotation"),
    ],
)  # fmt: skip
def test_a_bad_line_is_a_fault_and_the_others_are_kept(tmp_path: Path, line: str, kind: str) -> None:
    touch(tmp_path, "data/a.jpg", "data/b.jpg", "a.jpg")
    put(tmp_path, data__x_dot_csv=TENSORFLOW + line + "\nb.jpg,60,70,cat,1,1,2,2\n")
    with nothing_opened_outside(tmp_path / "data"):
        annotated = csv.read(tmp_path / "data")
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [(kind, "x.csv:5")]
    assert [len(entry.names) for entry in annotated.images] == [2, 2]


@pytest.mark.parametrize(("last", "message"), [(b"\0", "NUL"), (b"\x81", "not UTF-8"), (None, "empty")])
def test_a_bad_file_is_a_fault(tmp_path: Path, last: bytes | None, message: str) -> None:
    put(tmp_path, x_dot_csv=b"" if last is None else TENSORFLOW.encode() + last)
    annotated = csv.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("bad_annotation" if last is None else "bad_file", "x.csv")]
    assert message in annotated.faults[0].what


@given(expected=annotated_folders(whole=False))
def test_written_annotations_are_read_back(expected: AnnotatedFolder) -> None:
    for convention in ("edges", "inclusive_from_1", "inclusive_from_0"):
        with tempfile.TemporaryDirectory() as name:
            touch(Path(name), *(entry.file for entry in expected.images))
            csv.write(expected, Path(name), convention=convention)
            assert csv.recognise(Path(name))
            assert_same(csv.read(Path(name), convention=convention), expected, within=0 if convention == "edges" else 1e-9, crowds=True)


@settings(max_examples=200)
@given(content=damaged(TENSORFLOW, SKU, OPEN_IMAGES))
def test_damaged_files_give_faults_and_open_nothing_outside(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        touch(folder, "a.jpg")
        put(folder, a_dot_csv=content)
        with nothing_opened_outside(folder):
            csv.recognise(folder)
            annotated = csv.read(folder)
        assert all(np.isfinite(entry.boxes_nx4).all() for entry in annotated.images)


def test_an_unknown_convention_is_refused(tmp_path: Path) -> None:
    assert_refused(lambda: csv.read(tmp_path, convention="inclusive_from1"), "did you mean 'inclusive_from_1'?")


def test_boxes_of_groups_are_crowds(tmp_path: Path) -> None:
    touch(tmp_path, "validation/a.jpg")
    crowd = OPEN_IMAGES.splitlines()[1].replace("0.25", "0.125")[:-1] + "1\n"
    put(tmp_path, validation_annotations_bbox_dot_csv=OPEN_IMAGES + crowd)
    annotated = csv.read(tmp_path)
    (entry,) = annotated.images
    assert (entry.boxes_nx4.tolist(), entry.names) == ([[0.25, 0.125, 0.5, 1]], ("/m/01",))
    assert (entry.crowd_boxes_mx4.tolist(), entry.crowd_names) == ([[0.125, 0.125, 0.5, 1]], ("/m/01",))
    assert [fault.kind for fault in annotated.faults] == ["group_box"]
