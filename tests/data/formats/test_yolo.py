"""YOLO: its layouts and yaml files, polygons, writing and reading back, and damaged files."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from imgloc.data.annotated.annotations import AnnotatedFolder
from imgloc.data.formats import yolo
from tests.picture_folders import annotated_folders, assert_same, damaged, nothing_opened_outside, put, touch
from tests.refusals import assert_refused

LABELS = "0 0.5 0.5 0.25 1\n1 0.25 0.125 0.5 0.25\n"
EXPECTED = [[0.375, 0, 0.625, 1], [0, 0, 0.5, 0.25]]


@pytest.mark.parametrize(
    "yaml",
    [
        "names: [cat, dog]\nnc: 2\ntrain: images/train\nval: images/val\n",
        "path: ../datasets/mine\ntrain: ../images/train\nval: ./images/val/\nnames:\n  0: cat\n  1: dog\n",
        "path: .\ntrain: [images/train]\nval: [images/val]\ntest:\nnames: {1: dog, 0: cat}\ndownload: |\n  import os\n",
    ],
)
def test_images_and_labels_side_by_side(tmp_path: Path, yaml: str) -> None:
    touch(tmp_path, "images/train/a.jpg", "images/val/b.png", "images/train/free.jpg")
    touch(tmp_path, "images/train/background.jpg", "labels/train/background.txt")
    put(tmp_path, labels__train__a_dot_txt=LABELS, labels__val__b_dot_txt="", data_dot_yaml=yaml)
    assert yolo.recognise(tmp_path)
    annotated = yolo.read(tmp_path)
    assert not annotated.faults
    assert annotated.classes == ("cat", "dog")
    assert [(entry.file, entry.split, len(entry.names)) for entry in annotated.images] == [
        ("images/train/a.jpg", "train", 2), ("images/train/background.jpg", "train", 0), ("images/val/b.png", "validation", 0)
    ]  # fmt: skip
    a = annotated.images[0]
    assert (a.relative, a.names, a.where, a.boxes_nx4.tolist()) == (True, ("cat", "dog"), "labels/train/a.txt", EXPECTED)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("Images/train/a.jpg", "Labels/train/a.txt"), ("IMAGES/a.JPG", "labels/A.txt"), ("JPEGImages/a.jpg", "labels/a.txt"),
        ("images/a.jpg", "images/a.txt"), ("x/a\u0308.jpg", "x/\u00e4.txt"), ("images/a.jpg", "labels/a.TXT"),
    ],
)  # fmt: skip
def test_texts_match_in_any_case_and_beside_an_image(tmp_path: Path, image: str, text: str) -> None:
    touch(tmp_path, image)
    (tmp_path / text).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / text).write_text(LABELS)
    assert yolo.recognise(tmp_path)
    (entry,) = yolo.read(tmp_path).images
    assert (entry.file, entry.where, len(entry.names)) == (image, text, 2)


def test_a_text_in_labels_comes_before_one_beside_the_image_and_the_other_is_a_fault(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg")
    put(tmp_path, labels__a_dot_txt=LABELS, images__a_dot_txt="")
    annotated = yolo.read(tmp_path)
    assert [entry.where for entry in annotated.images] == ["labels/a.txt"]
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("duplicate_annotation", "images/a.txt")]


def test_images_in_images_keep_their_texts_beside_a_folder_jpegimages(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "JPEGImages/a.jpg", "images/JPEGImages/b.jpg")
    put(tmp_path, labels__a_dot_txt=LABELS, JPEGImages__a_dot_txt="", labels__JPEGImages__b_dot_txt=LABELS)
    found = {entry.file: entry.where for entry in yolo.read(tmp_path).images}
    assert found == {
        "images/a.jpg": "labels/a.txt", "JPEGImages/a.jpg": "JPEGImages/a.txt", "images/JPEGImages/b.jpg": "labels/JPEGImages/b.txt"
    }  # fmt: skip


def test_the_usual_file_names_the_classes_before_other_programs_do(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_txt=LABELS, conda_dot_yaml="names: [numpy, pandas]\n", data_dot_yaml="names: [cat, dog]\n")
    annotated = yolo.read(tmp_path)
    assert annotated.classes == ("cat", "dog")
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("conflicting_names", "conda.yaml")]


def test_quoted_and_missing_lines_of_lists(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put(tmp_path, a_dot_txt=LABELS, b_dot_txt=LABELS, classes_dot_txt="no\nyes\n")
    put(tmp_path, train_dot_txt='"a.jpg"\nmissing/c.jpg\n', val_dot_txt='"/data/B.JPG"\n')
    annotated = yolo.read(tmp_path)
    assert {entry.file: entry.split for entry in annotated.images} == {"a.jpg": "train", "b.jpg": "validation"}
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("unmatched_list", "train.txt")]


def test_lists_of_images_give_splits(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    put(tmp_path, a_dot_txt=LABELS, b_dot_txt=LABELS, c_dot_txt=LABELS)
    put(tmp_path, train_dot_txt="./a.jpg\n/abs/b.jpg\n/abs/nowhere.jpg\nc.jpg\n", test_dot_txt="c.jpg\n")
    put(tmp_path, data_dot_yaml="names: [no, yes]\ntrain: train.txt\ntest: test.txt\nval: /somewhere/else\n")
    annotated = yolo.read(tmp_path)
    assert annotated.classes == ("no", "yes"), "yaml's booleans are class names"
    assert {entry.file: entry.split for entry in annotated.images} == {"a.jpg": "train", "b.jpg": "train", "c.jpg": "test"}
    assert sorted((fault.kind, fault.where) for fault in annotated.faults) == [
        ("duplicate_image", "data.yaml"), ("outside_folder", "data.yaml"), ("outside_folder", "train.txt:3")
    ]  # fmt: skip


def test_the_longest_end_of_an_absolute_path_names_an_image(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "a/7.jpg")
    put(tmp_path, a__1_dot_txt=LABELS, b__1_dot_txt=LABELS, a__7_dot_txt=LABELS, classes_dot_txt="no\nyes\n")
    put(tmp_path, test_dot_txt="/home/u/data/a/1.jpg\n", train_dot_txt="C:\\data\\b\\1.jpg\n/other/set/b/7.jpg\n")
    annotated = yolo.read(tmp_path)
    assert {entry.file: entry.split for entry in annotated.images} == {"a/1.jpg": "test", "b/1.jpg": "train", "a/7.jpg": ""}
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("outside_folder", "train.txt:2")]


def test_class_names_without_yaml_come_from_classes_txt_or_are_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "train/images/a.jpg")
    put(tmp_path, train__labels__a_dot_txt=LABELS)
    assert yolo.read(tmp_path).classes == ("0", "1")
    put(tmp_path, train__labels__classes_dot_txt="cat\ndog\nowl\n")
    annotated = yolo.read(tmp_path)
    assert annotated.classes == ("cat", "dog", "owl")
    assert [(entry.file, entry.split) for entry in annotated.images] == [("train/images/a.jpg", "train")]
    assert not annotated.faults


def test_a_polygon_gives_its_bounding_box_and_a_confidence_is_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_txt="0 0.1 0.2 0.5 0.1 0.3 0.9\n0 0.5 0.5 0.25 1 0.87\n")
    assert yolo.read(tmp_path).images[0].boxes_nx4.tolist() == [[0.1, 0.1, 0.5, 0.9], EXPECTED[0]]


def test_a_text_without_an_image_gives_the_missing_image(tmp_path: Path) -> None:
    put(tmp_path, labels__a_dot_txt=LABELS)
    assert [entry.file for entry in yolo.read(tmp_path).images] == ["images/a.jpg"]


@pytest.mark.parametrize(
    ("text", "kind", "where"),
    [
        ("0 0.5 0.5 0.25\n", "bad_annotation", "a.txt:1"), ("0 0.5 0.5 nan 1\n", "bad_annotation", "a.txt:1"),
        ("\n-1 0.5 0.5 1 1\n", "bad_annotation", "a.txt:2"), ("cat 0.5 0.5 1 1\n", "bad_annotation", "a.txt:1"),
        ("0.5 0.5 0.5 1 1\n", "bad_annotation", "a.txt:1"), (b"0 0.5 \0 1 1\n", "bad_annotation", "a.txt"),
        (b"\x81", "bad_annotation", "a.txt"), ("7 0.5 0.5 1 1\n", "unknown_class", "a.txt"),
        ("0 1 1 1 1 1 1 9\n", "bad_annotation", "a.txt:1"),
    ],
)  # fmt: skip
def test_a_bad_line_is_a_fault(tmp_path: Path, text: str | bytes, kind: str, where: str) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_txt=text, data_dot_yaml="names: [cat]\n")
    annotated = yolo.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [(kind, where)]
    assert all(entry.names in ((), ("",)) for entry in annotated.images)


@pytest.mark.parametrize(
    "yaml",
    [
        "names: [" + "[" * 1200, "names: 5\n", "names: {cat: 0}\n", "names: [[a]]\n", "names: a\n---\n",
        "a: &a [x]\nnames: [*a]\n", 'names: ["a\\nb"]\n', "names: [a", "names: [a]\0", "nc: 2\n\tnames: [a]\n", "\0",
        "names: [" + "a, " * 100_000 + "]",
    ],
)  # fmt: skip
def test_a_bad_yaml_is_a_fault(tmp_path: Path, yaml: str) -> None:
    put(tmp_path, data_dot_yaml=yaml)
    assert [(fault.kind, fault.where) for fault in yolo.read(tmp_path).faults] == [("bad_file", "data.yaml")]


def test_a_yaml_of_another_program_is_no_fault(tmp_path: Path) -> None:
    put(tmp_path, list_dot_yaml="- a\n", other_dot_yaml="services: {web: {image: x}}\n", two_dot_yaml="a: b\n---\nc: d\n")
    assert yolo.read(tmp_path).faults == ()


def test_yaml_executes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, data_dot_yaml="names: !!python/object/apply:os.system ['touch hacked']\n")
    yolo.read(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["data.yaml"]


def test_yaml_with_exponential_merges_is_fast(tmp_path: Path) -> None:
    levels = "".join(f"k{i}: &k{i} {{<<: [{', '.join([f'*k{i - 1}'] * 9)}]}}\n" for i in range(1, 20))
    put(tmp_path, data_dot_yaml=f"k0: &k0 {{a: b}}\n{levels}names: [cat]\n")
    assert yolo.read(tmp_path).classes == ("cat",)


def test_yaml_with_ten_thousand_repetitions_is_fast(tmp_path: Path) -> None:
    images = [f"images/{number:04d}.jpg" for number in range(1000)]
    touch(tmp_path, *images)
    put(tmp_path, labels__0000_dot_txt=LABELS, list_dot_txt="\n".join(images * 10))
    for place in ("list.txt", ".", "images"):
        put(tmp_path, data_dot_yaml="names: [cat, dog]\ntrain:\n" + f"- {place}\n" * 10_000)
        began = time.monotonic()
        assert yolo.read(tmp_path).images[0].split == "train"
        assert time.monotonic() - began < 10  # PyYAML takes about 1 s of it
    put(tmp_path, data_dot_yaml="names: [cat, dog]\ntrain:\n" + "".join(f"- no{number}\n" for number in range(10_000)))
    began = time.monotonic()
    assert yolo.read(tmp_path).images[0].split == ""
    assert time.monotonic() - began < 10


def test_two_yaml_files_that_disagree_are_a_fault(tmp_path: Path) -> None:
    put(tmp_path, a_dot_yaml="names: [cat]\n", sub__a_dot_yml="names: [dog]\n", b_dot_yaml="names: [cat]\n", c_dot_yaml="lr: 1\n")
    annotated = yolo.read(tmp_path)
    assert annotated.classes == ("cat",)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("conflicting_names", "sub/a.yml")]


def test_other_texts_are_not_recognised(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_txt="A cat on a sofa.\n", data_dot_yaml="names: [cat]\n")
    assert not yolo.recognise(tmp_path)


def test_other_conventions_are_refused(tmp_path: Path) -> None:
    assert_refused(lambda: yolo.read(tmp_path, convention="inclusive_from_1"), "possible: edges")


@given(expected=annotated_folders(whole=False))
def test_written_annotations_are_read_back(expected: AnnotatedFolder) -> None:
    with tempfile.TemporaryDirectory() as name:
        touch(Path(name), *(entry.file for entry in expected.images))
        yolo.write(expected, Path(name))
        annotated = yolo.read(Path(name))
        assert_same(annotated, expected, within=1e-9)
        assert annotated.classes == expected.classes
        assert yolo.recognise(Path(name)) == any(entry.names for entry in expected.images)


@settings(max_examples=40)
@given(text=damaged(LABELS), yaml=damaged("path: .\ntrain: a.txt\nval: [../b]\nnames: {0: cat, 1: dog}\n"))
def test_damaged_files_give_faults_and_open_nothing_outside(text: bytes, yaml: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        touch(folder, "a.jpg")
        put(folder, a_dot_txt=text, data_dot_yaml=yaml)
        with nothing_opened_outside(folder):
            yolo.recognise(folder)
            annotated = yolo.read(folder)
        assert all(np.isfinite(entry.boxes_nx4).all() for entry in annotated.images)
