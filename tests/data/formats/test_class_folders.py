"""A folder for each class, with and without splits."""

from __future__ import annotations

from pathlib import Path

from imgloc.data.formats import class_folders
from tests.picture_folders import put, touch
from tests.refusals import assert_refused


def test_the_folder_is_the_class(tmp_path: Path) -> None:
    touch(tmp_path, "dog/a.jpg", "cat/b.PNG", "cat/deeper/c.jpg", "spare.jpg")
    put(tmp_path, cat__notes_dot_txt="no image")
    assert class_folders.recognise(tmp_path)
    annotated = class_folders.read(tmp_path)
    assert not annotated.faults
    assert annotated.classes == ("cat", "dog")
    assert [(entry.file, entry.label, entry.split, entry.boxes_nx4.shape) for entry in annotated.images] == [
        ("cat/b.PNG", "cat", "", (0, 4)), ("cat/deeper/c.jpg", "cat", "", (0, 4)), ("dog/a.jpg", "dog", "", (0, 4))
    ]  # fmt: skip


def test_folders_above_may_be_splits(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/t/a.jpg", "images/val2017/t/b.jpg", "train/u/train/c.jpg", "test/u/d.jpg")
    assert {(entry.file, entry.label, entry.split) for entry in class_folders.read(tmp_path).images} == {
        ("images/train/t/a.jpg", "t", "train"), ("images/val2017/t/b.jpg", "t", "validation"),
        ("train/u/train/c.jpg", "u", "train"), ("test/u/d.jpg", "u", "test"),
    }  # fmt: skip


def test_a_train_beside_other_classes_is_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "bus/a.jpg", "train/b.jpg", "car/c.jpg")
    annotated = class_folders.read(tmp_path)
    assert annotated.classes == ("bus", "car", "train")
    assert {entry.split for entry in annotated.images} == {""}


def test_a_stray_image_that_turns_splits_into_classes_is_a_fault(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "val/cat/c.jpg", "docs/logo.png")
    annotated = class_folders.read(tmp_path)
    assert annotated.classes == ("docs", "train", "val")
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("split_as_class", "train"), ("split_as_class", "val")]
    assert "'docs/logo.png'" in annotated.faults[0].what
    (tmp_path / "docs" / "logo.png").unlink()
    assert not class_folders.read(tmp_path).faults


def test_one_folder_of_images_is_not_recognised(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.jpg", "JPEGImages/a.jpg", "only/a.jpg")
    assert not class_folders.recognise(tmp_path)


def test_other_conventions_are_refused(tmp_path: Path) -> None:
    assert_refused(lambda: class_folders.read(tmp_path, convention="inclusive_from_1"), "possible: edges")
