"""The metadata of a split without its images, and its faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgloc.score_maps.metadata import read_classes, read_metadata
from tests.refusals import assert_refused

FILES = {
    "image_ids.txt": "a/1.jpg\nb/2.jpg\n",
    "class_labels.txt": "a/1.jpg,3\nb/2.jpg,0\n",
    "image_sizes.txt": "a/1.jpg,448,100\nb/2.jpg,300,300\n",
    "localization.txt": "a/1.jpg,1,10,447,99\nb/2.jpg,0,0,300,299\na/1.jpg,5,5,5,5\n",
}


def written(folder: Path, **changed: str) -> Path:
    """A split; `changed` replaces the text of a file, given by its name without .txt, or removes it if empty."""
    for name, text in FILES.items():
        new = changed.get(name.removesuffix(".txt"), text)
        if new:
            (folder / name).write_text(new)
    return folder


def test_boxes_are_scaled_and_rounded_down(tmp_path: Path) -> None:
    found = read_metadata(written(tmp_path))
    assert found.ids == ("a/1.jpg", "b/2.jpg")
    assert found.labels == {"a/1.jpg": 3, "b/2.jpg": 0}
    np.testing.assert_array_equal(found.boxes["a/1.jpg"], [[0, 22, 223, 221], [2, 11, 2, 11]])
    np.testing.assert_array_equal(found.boxes["b/2.jpg"], [[0, 0, 224, 223]])  # not clipped: the benchmark does not do so
    assert found.masks == {}


def test_masks_are_listed_with_one_mask_of_ignored_pixels(tmp_path: Path) -> None:
    lines = "a/1.jpg,m0.png,ignore.png\nb/2.jpg,m2.png,\na/1.jpg,m1.png,\n"
    found = read_metadata(written(tmp_path, localization=lines, image_sizes=""))
    assert found.masks == {"a/1.jpg": (("m0.png", "m1.png"), "ignore.png"), "b/2.jpg": (("m2.png",), "")}
    assert found.boxes == {}


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"image_ids": ""}, ("no image_ids.txt", "expected the folder of a split")),
        ({"image_ids": "\n"}, ("image_ids.txt", "lists no image")),
        ({"image_ids": "a/1.jpg\nb/2.jpg\na/1.jpg\n"}, ("lists an image twice: a/1.jpg",)),
        ({"class_labels": ""}, ("cannot read", "class_labels.txt")),
        ({"class_labels": "a/1.jpg,cat\n"}, ("class_labels.txt:1", "a/1.jpg,cat", "the number of a class")),
        ({"class_labels": "a/1.jpg,1\n"}, ("class_labels.txt has no line for 1 images", "b/2.jpg")),
        ({"image_sizes": ""}, ("cannot read", "image_sizes.txt")),
        ({"image_sizes": "a/1.jpg,448,0\nb/2.jpg,300,300\n"}, ("image_sizes.txt:1", "a width and a height")),
        ({"image_sizes": "a/1.jpg,448,100\n"}, ("localization.txt:2", "'b/2.jpg' has no line in image_sizes.txt")),
        ({"localization": "a/1.jpg,1,10,447,99\n"}, ("localization.txt has no line for 1 images", "b/2.jpg")),
        ({"localization": "a/1.jpg,1,10,447\n"}, ("localization.txt:1", "4 columns", "3 or 5")),
        ({"localization": "a/1.jpg,1,10,447,99\nb/2.jpg,m.png,\n"}, ("localization.txt:2", "3 columns", "expected 5")),
        ({"localization": "a/1.jpg,1.5,10,447,99\n"}, ("localization.txt:1", "x0,y0,x1,y1")),
        ({"localization": "a/1.jpg,9,10,8,99\n"}, ("localization.txt:1", "x0 <= x1")),
        ({"localization": "a/1.jpg,-1,10,8,99\n"}, ("localization.txt:1", "from 0")),
        ({"localization": "a/1.jpg,m.png,i.png\na/1.jpg,n.png,j.png\n"}, ("localization.txt:2", "only the first line")),
    ],
)
def test_faults_are_named_with_their_line(tmp_path: Path, changed: dict[str, str], reasons: tuple[str, ...]) -> None:
    written(tmp_path, **changed)
    assert_refused(lambda: read_metadata(tmp_path), *reasons)


def test_the_splits_of_a_data_set_are_proposed(tmp_path: Path) -> None:
    for split in ("test", "val"):
        (tmp_path / split).mkdir()
        written(tmp_path / split)
    assert_refused(lambda: read_metadata(tmp_path), "possible: test, val")


def test_classes_are_read_from_lines(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a,1\n\nb,22\n")
    assert read_classes(tmp_path / "classes.txt") == {"a": 1, "b": 22}
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe")
    assert_refused(lambda: read_classes(tmp_path / "classes.txt"), "not UTF-8 text")
