"""Listing of a data set's folder, lookup of images, and names that must not lead outside."""

from __future__ import annotations

import os
import tracemalloc
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.annotated.listing import list_folder, safe_path
from imgloc.errors import UserError
from tests.picture_folders import nothing_opened_outside, put, touch
from tests.refusals import assert_refused


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
    put(tmp_path, long=b"abcdef", nul=b"a\0", latin=b"\x81", bom=b"\xef\xbb\xbfa")
    found = list_folder(tmp_path)
    with nothing_opened_outside(tmp_path):
        for name, reason in (("long", "6 bytes; at most 5"), ("nul", "NUL"), ("latin", "not UTF-8: byte 0")):
            with pytest.raises(ValueError, match=reason):
                found.read_text(name, 5)
        assert found.read_text("bom") == ("a", "")
        assert found.head("long", 3) == "abc"
    (tmp_path / "long").unlink()
    assert found.head("long") == ""
    with pytest.raises(ValueError, match="cannot be read"):
        found.read_text("long")


def test_names_match_images_that_differ_in_case_slash_or_form_of_characters(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "images/café.jpg")
    touch(tmp_path, "IMG_1.JPG", "images/2.jpg", decomposed, "images/a.png", "images/A.png")
    found = list_folder(tmp_path)
    assert found.find_image("IMG_1.jpg", [""]) == "IMG_1.JPG"
    assert found.find_image("images\\2.jpg", [""]) == "images/2.jpg"
    assert found.find_image("café.jpg", ["images"]) == decomposed
    assert found.find_image("a.PNG", ["images"]) == "images/a.PNG", "two images: neither"
    assert found.find_image("..\\images\\2.jpg", [""]) is None


def test_what_imgloc_wrote_is_not_read_as_data(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.jpg", "runs/a/config.json", "runs/a/provenance.json", "runs/a/thumbnails/x.png", "model/bundle.json")
    touch(tmp_path, "model/variables.safetensors", "model/x.png", "mine/config.json", "mine/x.png")
    found = list_folder(tmp_path)
    assert found.images == ("cat/a.jpg", "mine/x.png")
    assert [(fault.kind, fault.where) for fault in found.faults] == [("run_folder", "model"), ("run_folder", "runs/a")]
    assert_refused(lambda: list_folder(tmp_path / "runs" / "a"), "is a run folder of imgloc")


def test_links_inside_the_folder_are_followed_and_others_if_the_user_says_so(tmp_path: Path) -> None:
    root = tmp_path / "data"
    touch(root, "raw/a.jpg")
    touch(tmp_path, "outside/b.jpg")
    (root / "images").symlink_to("raw")
    (root / "raw" / "loop").symlink_to("..")
    (root / "elsewhere").symlink_to("../outside")
    found = list_folder(root)
    assert found.images == ("images/a.jpg", "raw/a.jpg")
    assert [fault.where for fault in found.faults] == ["elsewhere"]
    assert "follow_links" in found.faults[0].what
    assert "elsewhere/b.jpg" in list_folder(root, follow_links=True).images


def test_a_folder_in_a_name_is_compared_whole(tmp_path: Path) -> None:
    touch(tmp_path, "data/pineapple/1.jpg", "data/banana/1.jpg", "images/cat/001.jpg", "images/dog/001.jpg")
    found = list_folder(tmp_path)
    assert found.find_image("apple/1.jpg", [""]) == "apple/1.jpg", "missing"
    assert found.find_image("banana/1.jpg", [""]) == "data/banana/1.jpg"
    assert found.find_image("cat/001", ["lists"]) == "images/cat/001.jpg"
    assert found.find_image("Dog/001.JPG", ["lists"]) == "images/dog/001.jpg"


def test_a_huge_file_that_is_not_text_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "labels.csv").open("wb") as file:
        file.truncate(2**31 - 1)  # sparse: it takes no space
    listing = list_folder(tmp_path)
    tracemalloc.start()
    with pytest.raises(ValueError, match="NUL"):
        listing.read_text("labels.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_the_image_that_is_named_like_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.json", "x/A.JPG", "x/b.json", "x/b.jpg", "x/b.png", "x/c.json", "x/c", "d.json", "x/d.jpg")
    found = list_folder(tmp_path)
    assert [found.image_of_stem(name) for name in ("x/a.json", "x/b.json", "x/c.json", "d.json")] == ["x/A.JPG", None, None, None]
