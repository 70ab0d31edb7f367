"""Listing of a data set's folder, lookup of images, and names that must not lead outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.annotated import listing
from imgloc.data.annotated.listing import list_folder, safe_path, split_of_folders, split_of_name
from imgloc.errors import UserError
from tests.picture_folders import nothing_opened_outside, put, touch


def test_only_regular_files_are_listed(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    touch(data, "a.jpg", "b/c.PNG", "b/.hidden.jpg", ".git/d.jpg", "__MACOSX/e.jpg")
    touch(other, "secret.jpg")
    os.mkfifo(data / "pipe.jpg")
    (data / "bad\udcff.jpg").touch()
    (data / "new\nline.jpg").touch()
    (data / "link.jpg").symlink_to(other / "secret.jpg")
    (data / "folder").symlink_to(other, target_is_directory=True)
    (data / "circle").symlink_to(data, target_is_directory=True)
    (data / "within.jpg").symlink_to(data / "a.jpg")
    (data / "itself.jpg").symlink_to("itself.jpg")
    (data / "through.jpg").symlink_to(data / "a.jpg" / "b")
    (data / "broken.jpg").symlink_to(data / "nowhere.jpg")
    found = list_folder(data)
    assert found.images == ("a.jpg", "b/c.PNG", "within.jpg")
    assert [(fault.kind, fault.where) for fault in found.faults] == [
        ("bad_annotation", "'bad\\udcff.jpg'"), ("bad_annotation", "'new\\nline.jpg'"),
        ("outside_folder", "folder"), ("outside_folder", "link.jpg"),
    ]  # fmt: skip
    assert list_folder(data / "circle").images == found.images


def test_the_images_below_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/b/2.jpg", "a-b/3.jpg", "a.jpg", "a0.jpg", "ab/4.jpg", "a/5.txt")
    found = list_folder(tmp_path)
    assert found.images_below("a") == ("a/1.jpg", "a/b/2.jpg")
    assert found.images_below("a/b") == ("a/b/2.jpg",)
    assert found.images_below("c") == ()
    assert found.images_below("") == found.images


def test_no_such_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "file")
    for name in ("nowhere", "file"):
        with pytest.raises(UserError, match=f"no such folder: '{tmp_path}/{name}'"):
            list_folder(tmp_path / name)


def test_an_image_is_found_in_the_given_folders_first_and_then_by_a_unique_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "images/a.jpg", "deep/er/b.jpg", "train/c.jpg", "val/c.jpg", "x/d.v2.jpg", "notes/e.txt")
    found = list_folder(tmp_path)
    assert found.find_image("a.jpg", ["images", ""]) == "images/a.jpg"
    assert found.find_image("./a.jpg", ["", "images"]) == "a.jpg"
    assert found.find_image("a", ["nowhere", "images"]) == "images/a.jpg"
    assert found.find_image("b.jpg", ["images"]) == "deep/er/b.jpg"
    assert found.find_image("d.v2", [""]) == "x/d.v2.jpg"
    assert found.find_image("d.png", ["images"]) == "images/d.png", "its expected place"
    assert found.find_image("c.jpg", [""]) == "c.jpg", "two images of that name: neither"
    assert found.find_image("val/c.jpg", ["images"]) == "val/c.jpg"
    assert found.find_image("e.txt", [""]) == "e.txt", "not an image"


@given(name=st.one_of(st.text(), st.lists(st.sampled_from(["..", ".", "/", "\\", "a", "C:", "\0", "\n", "~"]), max_size=8).map("".join)))
def test_no_name_leads_outside(name: str) -> None:
    path = safe_path(name)
    if path is not None:
        root = "/data/folder"
        assert os.path.normpath(os.path.join(root, path)).startswith(root + "/")
        assert "\\" not in path
        assert path.isascii() or path.encode()


def test_files_that_are_not_text_are_refused_with_the_reason(tmp_path: Path) -> None:
    put(tmp_path, long=b"abcdef", nul=b"a\0", latin=b"\xe9", bom=b"\xef\xbb\xbfa")
    found = list_folder(tmp_path)
    with nothing_opened_outside(tmp_path):
        for name, reason in (("long", "6 bytes; at most 5"), ("nul", "NUL"), ("latin", "not UTF-8: byte 0")):
            with pytest.raises(ValueError, match=reason):
                found.read_text(name, 5)
        assert found.read_text("bom") == "a"
        assert found.head("long", 3) == "abc"
    (tmp_path / "long").unlink()
    assert found.head("long") == ""
    with pytest.raises(ValueError, match="cannot be read"):
        found.read_text("long")


def test_splits_from_names() -> None:
    for name, split in {
        "train_labels.csv": "train", "instances_val2017.json": "validation", "Test.csv": "test", "train-fullsup": "validation",
        "trainval": "train", "all": "", "latest": "",
    }.items():  # fmt: skip
        assert split_of_name(name) == split
    for name, split in {"a/val2017/b.jpg": "validation", "train/test/a.jpg": "test", "train.jpg": "", "trains/a.jpg": ""}.items():
        assert split_of_folders(name) == split
    assert set(listing.SPLIT_NAMES.values()) == {"train", "validation", "test"}
