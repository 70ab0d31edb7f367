"""MOTChallenge: frames, classes, flags, groups, detections alone, and damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from PIL import Image

from imgloc.data.formats import mot
from imgloc.data.sources import folder
from tests.damaged_folders import assert_cuts_are_safe, assert_damage_is_safe
from tests.picture_folders import damaged, put, touch
from tests.refusals import assert_refused

SAMPLE = "1,1,1,1,10,20,1,1,1\n1,2,11,21,5,6,0,7,0.25\n3,1,2.5,3,10,20,1,1,0.5\n"
INFO = "[Sequence]\nname=MOT17-02-DPM\nimDir=img1\nframeRate=30\nseqLength=3\nimWidth=50\nimHeight=40\nimExt=.jpg\n"


def sequence(root: Path, name: str, truth: str = SAMPLE, frames: int = 3) -> None:
    touch(root, *(f"{name}/img1/{number:06d}.jpg" for number in range(1, frames + 1)))
    put(root, **{f"{name.replace('/', '__')}__gt__gt_dot_txt": truth})


def test_frames_and_pixels_count_from_one(tmp_path: Path) -> None:
    sequence(tmp_path, "train/MOT17-02-DPM")
    put(tmp_path, train__MOT17_dash_02__x_dot_txt="", **{"train__MOT17-02-DPM__seqinfo_dot_ini": INFO})
    touch(tmp_path, "test/MOT17-01-DPM/img1/000001.jpg")
    put(tmp_path, **{"test__MOT17-01-DPM__det__det_dot_txt": SAMPLE})
    assert mot.recognise(tmp_path)
    annotated = mot.read(tmp_path)
    assert [(entry.file[-10:-4], entry.boxes_nx4.tolist()) for entry in annotated.images] == [
        ("000001", [[0, 0, 10, 20]]), ("000002", []), ("000003", [[1.5, 2, 11.5, 22]]),
    ]  # fmt: skip
    first = annotated.images[0]
    assert (first.width, first.height, first.split, first.group) == (50, 40, "train", "train/MOT17-02")
    assert first.where == "train/MOT17-02-DPM/gt/gt.txt:1"
    assert (annotated.classes, annotated.meaning) == (("pedestrian",), "xywh")
    assert [(fault.kind, fault.where, fault.what[:7]) for fault in annotated.faults] == [
        ("ignored_box", "train/MOT17-02-DPM/gt/gt.txt:2", "1 boxes")
    ]  # fmt: skip
    edges = mot.read(tmp_path, convention="edges").images[0]
    assert edges.boxes_nx4.tolist() == [[1, 1, 11, 21]]


def test_classes_have_the_names_of_mot16_or_of_their_list(tmp_path: Path) -> None:
    sequence(tmp_path, "a", "1,1,1,1,10,20,1,3,1\n1,1,1,1,10,20,1,7,1\n1,1,1,1,10,20,1,-1,-1,-1\n1,1,1,1,10,20,1,99,1\n", frames=1)
    annotated = mot.read(tmp_path)
    assert annotated.images[0].names == ("car", "static person", "pedestrian", "")
    assert annotated.classes == ("pedestrian", "car", "static person")
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("unknown_class", "a/gt/gt.txt:4")]
    put(tmp_path, a__gt__labels_dot_txt="cat\n\ndog\n")
    put(tmp_path, a__gt__gt_dot_txt="1,1,1,1,10,20,1,3,1\n")
    annotated = mot.read(tmp_path)
    assert annotated.images[0].names == ("dog",)
    assert annotated.images[0].boxes_nx4.tolist() == [[1, 1, 11, 21]], "CVAT and Datumaro count pixels from 0"
    assert mot.read(tmp_path, convention="edges_from_1").images[0].boxes_nx4.tolist() == [[0, 0, 10, 20]]


def test_a_sequence_stays_in_one_split_with_its_copies(tmp_path: Path) -> None:
    for number in range(12):
        for detector in ("DPM", "SDP"):
            name = f"train/MOT17-{number:02d}-{detector}"
            sequence(tmp_path, name, "".join(f"{i},1,1,1,10,9,1,1,1\n" for i in (1, 2, 3)))
            for i in (1, 2, 3):
                Image.new("RGB", (20, 20), (number, i, 0)).save(tmp_path / f"{name}/img1/{i:06d}.jpg")
    groups = {}
    for split in ("train", "validation", "test"):
        source = folder.source(split, seed=0, folder=str(tmp_path), validation=0.3, test=0.3)
        groups[split] = source.groups
        assert len(source) == 6 * len(source.groups)
    assert len(frozenset().union(*groups.values())) == 12 == sum(map(len, groups.values()))


def test_detections_alone_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/img1/000001.jpg")
    put(tmp_path, a__det__det_dot_txt="1,-1,1,1,10,20,0.9,-1,-1,-1\n")
    assert_refused(lambda: folder.source("train", seed=0, folder=str(tmp_path)), "a/det/det.txt", "not the true boxes, and no sequence has")
    findings = folder.check_data(thorough=False, folder=str(tmp_path))
    assert "foreign_format" in {fault.kind for fault in findings.faults}


@pytest.mark.parametrize(
    "line",
    ["1,1,1,1,10,20", "1,1,1,1,10,20,1,1", "0,1,1,1,10,20,1,1,1", "1.5,1,1,1,10,20,1,1,1", "1,1,nan,1,10,20,1,1,1",
     "1,1,1,1e99,10,20,1,1,1", "1,1,1,1,10,20,1,1.5,1", "frame,id,left,top,width,height,flag,class,visibility",
     "99999999999,1,1,1,10,20,1,1,1"],
)  # fmt: skip
def test_a_bad_line_is_a_fault_and_the_others_are_kept(line: str, tmp_path: Path) -> None:
    sequence(tmp_path, "a", f"1,1,1,1,10,20,1,1,1\n{line}\n", frames=1)
    annotated = mot.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("bad_annotation", "a/gt/gt.txt:2")]
    assert [len(entry.names) for entry in annotated.images] == [1]


def test_the_folder_of_frames_may_have_another_name_and_missing_frames_are_expected_there(tmp_path: Path) -> None:
    touch(tmp_path, "a/frames/frame_1.png")
    put(tmp_path, a__gt__gt_dot_txt=SAMPLE, a__seqinfo_dot_ini="[Sequence]\nimDir = frames\n")
    assert [entry.file for entry in mot.read(tmp_path).images] == ["a/frames/000003.jpg", "a/frames/frame_1.png"]
    put(tmp_path, a__seqinfo_dot_ini="imDir=../../etc\n")
    assert {entry.file[:7] for entry in mot.read(tmp_path).images} == {"a/img1/"}


def test_a_sequence_may_be_the_folder_itself(tmp_path: Path) -> None:
    touch(tmp_path, "img1/000001.jpg")
    put(tmp_path, gt__gt_dot_txt=SAMPLE)
    first = mot.read(tmp_path).images[0]
    assert (first.file, first.group) == ("img1/000001.jpg", "sequence")


def test_other_texts_are_not_recognised(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    for text in ("", "a.jpg\n", "1 1 2 3 4 5\n", "1,2,3\n", "x,y,1,2,3,4\n"):
        put(tmp_path, a__gt__gt_dot_txt=text)
        assert not mot.recognise(tmp_path), text


def test_cut_files(tmp_path: Path) -> None:
    sequence(tmp_path, "a")
    assert_cuts_are_safe(mot, tmp_path, "a/gt/gt.txt", lines=True)


@settings(max_examples=100)
@given(truth=damaged(SAMPLE), info=damaged(INFO), labels=damaged("cat\ndog\n"))
def test_damaged_files_give_faults_and_open_nothing_outside(truth: bytes, info: bytes, labels: bytes) -> None:
    assert_damage_is_safe(mot, "gt__gt_dot_txt", truth)
    assert_damage_is_safe(mot, "seqinfo_dot_ini", info, gt__gt_dot_txt=SAMPLE)
    assert_damage_is_safe(mot, "gt__labels_dot_txt", labels, gt__gt_dot_txt=SAMPLE)
