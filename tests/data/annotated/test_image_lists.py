"""Text files that list the images of a split."""

from __future__ import annotations

from pathlib import Path

from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.image_lists import splits_of_lists
from imgloc.data.annotated.listing import list_folder
from tests.picture_folders import put, touch


def test_an_image_in_two_lists_is_not_trained_on(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg")
    put(tmp_path, train_dot_txt="images/a.jpg\nb\n", lists__val_dot_txt="images/b.jpg\n../../etc/passwd\n", notes_dot_txt="images/c.jpg\n")
    faults: list[Fault] = []
    assert splits_of_lists(list_folder(tmp_path), faults) == {"images/a.jpg": "train", "images/b.jpg": "validation"}
    assert {(fault.kind, fault.where) for fault in faults} == {("duplicate_image", "train.txt"), ("outside_folder", "lists/val.txt:2")}


def test_a_text_of_an_image_named_train_is_no_list(tmp_path: Path) -> None:
    touch(tmp_path, "train.jpg")
    put(tmp_path, train_dot_txt="0 0.5 0.5 1 1\n")
    assert splits_of_lists(list_folder(tmp_path), []) == {}
