"""The metadata of wsolevaluation: boxes, masks, splits, and damaged files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from imgloc.data.formats import wsol
from tests.picture_folders import damaged, nothing_opened_outside, put, touch

IDS, LABELS = "x/a.jpg\nx/b.jpg\n", "x/a.jpg,10\nx/b.jpg,9\n"
SIZES, BOXES = "x/a.jpg,50,40\nx/b.jpg,60,70\n", "x/a.jpg,1,2,30,40\nx/a.jpg,5,6,7,8\n"


def split(folder: Path, place: str, **changes: str) -> None:
    texts = {"image_ids": IDS, "class_labels": LABELS, "image_sizes": SIZES, "localization": BOXES, **changes}
    put(folder, **{f"{place}__{name}_dot_txt": text for name, text in texts.items()})


def test_boxes_labels_and_sizes(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/b.jpg")
    split(tmp_path, "metadata__test")
    assert wsol.recognise(tmp_path)
    annotated = wsol.read(tmp_path)
    assert not annotated.faults
    assert annotated.classes == ("9", "10")
    a, b = annotated.images
    assert (a.file, a.label, a.names, a.width, a.height, a.split) == ("x/a.jpg", "10", ("10", "10"), 50, 40, "test")
    assert a.boxes_nx4.tolist() == [[1, 2, 30, 40], [5, 6, 7, 8]]
    assert (b.label, b.names) == ("9", ())
    assert wsol.read(tmp_path, convention="inclusive_from_0").images[0].boxes_nx4[1].tolist() == [5, 6, 8, 9]


def test_folders_give_splits(tmp_path: Path) -> None:
    for place in ("train-weaksup", "train-fullsup", "val", "test"):
        split(tmp_path, place, image_ids=f"{place}.jpg\n", class_labels=f"{place}.jpg,0\n", localization="")
    assert {entry.file.rpartition("/")[2]: entry.split for entry in wsol.read(tmp_path).images} == {
        "train-weaksup.jpg": "train", "train-fullsup.jpg": "validation", "val.jpg": "validation", "test.jpg": "test"
    }  # fmt: skip


def test_masks_are_not_read_as_boxes(tmp_path: Path) -> None:
    split(tmp_path, "test", localization="x/a.jpg,x/m.png,x/i.png\nx/b.jpg,x/n.png,\n")
    annotated = wsol.read(tmp_path)
    assert not annotated.faults
    assert [(entry.label, len(entry.boxes_nx4)) for entry in annotated.images] == [("10", 0), ("9", 0)]


@pytest.mark.parametrize(
    ("changes", "kind", "where"),
    [
        ({"class_labels": "x/a.jpg,1\nx/b.jpg,cat\n"}, "bad_annotation", "test/class_labels.txt:2"),
        ({"class_labels": "x/a.jpg,1\nx/b.jpg,1,2\n"}, "bad_annotation", "test/class_labels.txt:2"),
        ({"localization": "x/a.jpg,1,2,3,nan\n"}, "bad_annotation", "test/localization.txt:1"),
        ({"localization": "x/a.jpg,1,2,3,4,5\n"}, "bad_annotation", "test/localization.txt:1"),
        ({"localization": "x/c.jpg,1,2,3,4\n"}, "bad_annotation", "test/image_ids.txt"),
        ({"image_ids": IDS + "../c.jpg\n"}, "outside_folder", "test/image_ids.txt:3"),
        ({"image_ids": IDS + "x/a.jpg\n"}, "duplicate_annotation", "test/image_ids.txt:3"),
        ({"image_sizes": "\0"}, "bad_file", "test/image_sizes.txt"),
    ],
)
def test_a_bad_line_is_a_fault(tmp_path: Path, changes: dict[str, str], kind: str, where: str) -> None:
    split(tmp_path, "test", **changes)
    faults = [(fault.kind, fault.where) for fault in wsol.read(tmp_path).faults]
    assert (kind, where) in faults
    assert len(faults) <= 2  # an image without a label is a second one


@settings(max_examples=100)
@given(ids=damaged(IDS), labels=damaged(LABELS), boxes=damaged(BOXES))
def test_damaged_files_give_faults_and_open_nothing_outside(ids: bytes, labels: bytes, boxes: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put(folder, image_ids_dot_txt=ids, class_labels_dot_txt=labels, localization_dot_txt=boxes)
        with nothing_opened_outside(folder):
            wsol.recognise(folder)
            annotated = wsol.read(folder)
        assert all(np.isfinite(entry.boxes_nx4).all() for entry in annotated.images)


def test_a_part_of_the_published_metadata(data_folder: Path) -> None:
    annotated = wsol.read(data_folder / "wsol_case" / "metadata" / "ILSVRC")
    assert not annotated.faults
    assert len(annotated.images) == 24
    assert sum(len(entry.names) > 1 for entry in annotated.images) == 5
    assert annotated.classes == ("0", "1", "2", "3", "4")
    for entry in annotated.images:
        assert (entry.boxes_nx4[:, 2:] <= [entry.width, entry.height]).all()
    masks = wsol.read(data_folder / "wsol_case" / "metadata" / "OpenImages")
    assert [len(entry.boxes_nx4) for entry in masks.images] == [0] * 8
