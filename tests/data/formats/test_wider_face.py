"""WIDER FACE: places of images, invalid faces, images without faces, and damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from imgloc.data.formats import wider_face
from tests.damaged_folders import assert_cuts_are_safe, assert_damage_is_safe
from tests.picture_folders import damaged, put, touch

SAMPLE = (
    "0--Parade/a.jpg\n2\n449 330 122 149 0 0 0 0 0 0 \n10 20 3 4 2 0 0 1 2 0 \n"
    "0--Parade/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0 \n1--Handshaking/c.jpg\n1\n5 6 7 8 0 0 0 0 0 0 \n"
)


def test_the_layout_of_the_archives(tmp_path: Path) -> None:
    touch(tmp_path, *(f"WIDER_{split}/images/{name}" for split in ("train", "val") for name in ("0--Parade/a.jpg", "0--Parade/b.jpg")))
    touch(tmp_path, "WIDER_train/images/1--Handshaking/c.jpg", "WIDER_val/images/1--Handshaking/c.jpg")
    put(tmp_path, wider_face_split__wider_face_train_bbx_gt_dot_txt=SAMPLE, wider_face_split__wider_face_val_bbx_gt_dot_txt=SAMPLE)
    put(tmp_path, wider_face_split__wider_face_test_filelist_dot_txt="0--Parade/d.jpg\n")
    assert wider_face.recognise(tmp_path)
    annotated = wider_face.read(tmp_path)
    assert annotated.classes == ("face",)
    assert [(entry.file, entry.split) for entry in annotated.images] == [
        (f"WIDER_{folder}/images/{name}", split)
        for folder, split in (("train", "train"), ("val", "validation"))
        for name in ("0--Parade/a.jpg", "0--Parade/b.jpg", "1--Handshaking/c.jpg")
    ]
    assert [entry.boxes_nx4.tolist() for entry in annotated.images[:3]] == [[[449, 330, 571, 479]], [], [[5, 6, 12, 14]]]
    assert annotated.images[0].where == "wider_face_split/wider_face_train_bbx_gt.txt:1"
    assert [(fault.kind, fault.where.rpartition("/")[2]) for fault in annotated.faults] == [
        ("ignored_box", "wider_face_train_bbx_gt.txt:4"), ("ignored_box", "wider_face_val_bbx_gt.txt:4"),
    ]  # fmt: skip


def test_an_image_without_faces_may_have_no_line_of_zeros(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put(tmp_path, x_bbx_gt_dot_txt="a.jpg\n0\nb.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n")
    annotated = wider_face.read(tmp_path)
    assert [len(entry.names) for entry in annotated.images] == [0, 1]
    assert not annotated.faults


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        ("b.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", "x_bbx_gt.txt:4"), ("b.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n1 2 3 4 0 0 0 0 0 0\n", "x_bbx_gt.txt:4"),
        ("b.jpg\nmany\n", "x_bbx_gt.txt:4"), ("b.jpg\n", "x_bbx_gt.txt:4"), ("b.jpg\n1\n1 2 3 4\n", "x_bbx_gt.txt:6"),
        ("b.jpg\n1\n1 2 nan 4 0 0 0 0 0 0\n", "x_bbx_gt.txt:6"), ("b.jpg\n1\n1 2 1e99 4 0 0 0 0 0 0\n", "x_bbx_gt.txt:6"),
        ("b.jpg\n" + "9" * 5000 + "\n", "x_bbx_gt.txt:4"),
    ],
)  # fmt: skip
def test_a_bad_line_is_a_fault_and_other_images_are_kept(lines: str, where: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put(tmp_path, x_bbx_gt_dot_txt="a.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n" + lines)
    annotated = wider_face.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("bad_annotation", where)]
    assert annotated.images[0].boxes_nx4.tolist() == [[1, 2, 4, 6]]


def test_names_never_lead_outside_and_lines_before_the_first_name_are_faults(tmp_path: Path) -> None:
    put(tmp_path, x_bbx_gt_dot_txt="1 2 3\n../a.jpg\n0\n")
    assert [(fault.kind, fault.where) for fault in wider_face.read(tmp_path).faults] == [
        ("bad_annotation", "x_bbx_gt.txt:1"), ("outside_folder", "x_bbx_gt.txt:2"),
    ]  # fmt: skip


def test_cut_files(tmp_path: Path) -> None:
    touch(tmp_path, "0--Parade/a.jpg", "0--Parade/b.jpg", "1--Handshaking/c.jpg")
    put(tmp_path, x_bbx_gt_dot_txt=SAMPLE.replace("2 0 0 1 2 0", "2 0 0 0 2 0"))
    assert_cuts_are_safe(wider_face, tmp_path, "x_bbx_gt.txt", lines=True)


@settings(max_examples=100)
@given(data=damaged(SAMPLE))
def test_damaged_files_give_faults_and_open_nothing_outside(data: bytes) -> None:
    assert_damage_is_safe(wider_face, "wider_face_train_bbx_gt_dot_txt", data)
