"""Which of several files gives YOLO's class names and splits, and contradictions between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgloc.data.annotated.annotations import AnnotatedFolder
from imgloc.data.formats import yolo
from tests.picture_folders import put, touch

LINE = "1 0.5 0.5 0.25 1\n"


def read(folder: Path, **texts: str) -> AnnotatedFolder:
    touch(folder, "data/obj/a.jpg", "data/obj/b.jpg")
    put(folder, data__obj__a_dot_txt=LINE, data__obj__b_dot_txt=LINE, **texts)
    return yolo.read(folder)


def test_darknet_s_data_file_chooses_names_and_lists(tmp_path: Path) -> None:
    annotated = read(
        tmp_path,
        data__obj_dot_data="classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n",
        data__obj_dot_names="helmet\nvest\n", data__coco_dot_names="person\nbicycle\n",
        data__train_dot_txt="data/obj/a.jpg\n", data__valid_dot_txt="data/obj/b.jpg\n",
    )  # fmt: skip
    assert annotated.classes == ("helmet", "vest")
    assert [(entry.file, entry.split) for entry in annotated.images] == [("data/obj/a.jpg", "train"), ("data/obj/b.jpg", "validation")]
    assert not annotated.faults


def test_lists_may_be_named_from_a_folder_that_the_archive_does_not_have(tmp_path: Path) -> None:
    touch(tmp_path, "obj_train_data/a.jpg", "obj_valid_data/b.jpg")
    put(
        tmp_path, obj_train_data__a_dot_txt=LINE, obj_valid_data__b_dot_txt=LINE, obj_dot_names="helmet\nvest\n",
        obj_dot_data="classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n",
        train_dot_txt="data/obj_valid_data/b.jpg\n", valid_dot_txt="data/obj_train_data/a.jpg\n",
    )  # fmt: skip
    annotated = yolo.read(tmp_path)
    assert [(entry.file, entry.split) for entry in annotated.images] == [
        ("obj_train_data/a.jpg", "validation"), ("obj_valid_data/b.jpg", "train")
    ]  # fmt: skip
    assert not annotated.faults


def test_the_names_beside_the_texts_win_and_other_ones_are_a_fault(tmp_path: Path) -> None:
    annotated = read(tmp_path, data__obj__classes_dot_txt="cat\ndog\n", classes_dot_txt="dog\nperson\ncat\n")
    assert annotated.classes == ("cat", "dog")
    (fault,) = annotated.faults
    assert (fault.kind, fault.where) == ("conflicting_names", "classes.txt")
    assert "data/obj/classes.txt" in fault.what


def test_numbers_that_start_at_1_are_named_as_such(tmp_path: Path) -> None:
    annotated = read(tmp_path, classes_dot_txt="ball\n")
    assert [fault.kind for fault in annotated.faults] == ["one_based_class"]


@pytest.mark.parametrize(
    ("shape", "line", "box"),
    [
        ("kpt_shape: [2, 3]\n", "0 .5 .5 .5 .5 .4 .4 2 .6 .6 1", [0.25, 0.25, 0.75, 0.75]),
        ("", "0 .5 .5 .5 .5 .4 .4 2 .6 .6 1", [0.25, 0.25, 0.75, 0.75]),  # visibilities
        ("kpt_shape: [3, 2]\n", "0 .5 .5 .5 .5 .4 .4 .6 .6 .5 .5", [0.25, 0.25, 0.75, 0.75]),
        ("", "0 .1 .2 .5 .1 .6 .7 .2 .8", [0.1, 0.1, 0.6, 0.8]),  # an oriented box: four corners
    ],
)
def test_keypoints_and_corners(shape: str, line: str, box: list[float], tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_txt=f"{line}\n", data_dot_yaml=f"names: [x]\n{shape}")
    annotated = yolo.read(tmp_path)
    assert annotated.images[0].boxes_nx4.round(6).tolist() == [box]
    assert [fault.kind for fault in annotated.faults] == (["keypoints"] if box[0] == 0.25 else [])


def test_poses_without_visibility_are_seen_in_many_lines(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_txt="0 .5 .5 .5 .5 .4 .4 .6 .6 .5 .45\n" * 12, classes_dot_txt="x\n")
    annotated = yolo.read(tmp_path)
    assert (annotated.images[0].boxes_nx4 == [0.25, 0.25, 0.75, 0.75]).all()


def test_oriented_boxes_are_never_taken_for_keypoints(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_txt="0 .35 .45 .65 .45 .65 .55 .35 .55\n" * 30, classes_dot_txt="plate\n")
    np.testing.assert_allclose(yolo.read(tmp_path).images[0].boxes_nx4, [[0.35, 0.45, 0.65, 0.55]] * 30)


def test_lists_that_lead_nowhere_are_a_fault(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg")
    put(tmp_path, labels__a_dot_txt="0 .5 .5 .5 .5\n", data_dot_yaml="names: [x]\nval: images/valid\n", test_dot_txt="/content/b.jpg\n")
    assert [fault.kind for fault in yolo.read(tmp_path).faults] == ["unmatched_list", "unmatched_list"]


def test_a_list_that_is_the_beginning_of_another_is_no_contradiction(tmp_path: Path) -> None:
    annotated = read(
        tmp_path, data__obj__classes_dot_txt="cat\ndog\n", classes_dot_txt="cat\ndog\nowl\n", predefined_classes_dot_txt="tv\n"
    )
    assert annotated.classes == ("cat", "dog", "owl")
    assert not annotated.faults
