"""CVAT's XML for images and for video: shapes, subsets, frames, and damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from imgloc.data.formats import cvat, voc
from tests.damaged_folders import assert_cuts_are_safe, assert_damage_is_safe
from tests.picture_folders import damaged, put, touch

PART = "<label><name>paw</name><parent>dog</parent></label>"
LABELS = f"<labels><label><name>dog</name></label><label><name>cat</name></label>{PART}</labels>"
BOX = '<box label="cat" xtl="1.5" ytl="2" xbr="30" ybr="40" occluded="0"/>'


def for_images(*shapes: str, name: str = "a.jpg", subset: str = "") -> str:
    meta = f"<meta><task>{LABELS}</task></meta>"
    image = f'<image id="0" name="{name}" subset="{subset}" width="50" height="41">{"".join(shapes)}</image>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{image}</annotations>'


def for_video(*tracks: str, tasks: str = "") -> str:
    size = "<original_size><width>50</width><height>41</height></original_size>"
    meta = f"<meta>{tasks or f'<task>{LABELS}{size}</task>'}</meta>"
    return f"<annotations><version>1.1</version>{meta}{''.join(tracks)}</annotations>"


def test_images_have_boxes_sizes_and_declared_classes(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg")
    put(tmp_path, annotations_dot_xml=for_images(BOX, '<tag label="dog"/>'))
    assert cvat.recognise(tmp_path)
    assert not voc.recognise(tmp_path)
    annotated = cvat.read(tmp_path)
    (entry,) = annotated.images
    assert (entry.file, entry.where) == ("images/a.jpg", "annotations.xml image[0]")
    assert (entry.names, entry.width, entry.height) == (("cat",), 50, 41)
    assert entry.boxes_nx4.tolist() == [[1.5, 2, 30, 40]]
    assert (annotated.classes, annotated.faults) == (("dog", "cat"), ())


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('<polygon label="cat" points="5,1;9.5,4;2,8"/>', [2, 1, 9.5, 8]),
        ('<box label="cat" xtl="10" ytl="10" xbr="20" ybr="14" rotation="90"/>', [13, 7, 17, 17]),
        ('<box label="cat" xtl="10" ytl="10" xbr="20" ybr="20" rotation="45"/>', [7.9289, 7.9289, 22.0711, 22.0711]),
        ('<ellipse label="cat" cx="10" cy="20" rx="5" ry="2" rotation="90"/>', [8, 15, 12, 25]),
        ('<mask label="cat" rle="1, 2" left="3" top="4" width="10" height="20"/>', [3, 4, 13, 24]),
        ('<cuboid label="cat" xtl1="1" ytl1="2" xbl1="1" ybl1="9" xtr1="5" ytr1="2" xbr1="5" ybr1="9" '
         'xtl2="4" ytl2="1" xbl2="4" ybl2="7" xtr2="8" ytr2="1" xbr2="8" ybr2="7"/>', [1, 1, 8, 9]),
    ],
)  # fmt: skip
def test_the_box_of_each_shape(shape: str, box: list[float], tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, annotations_dot_xml=for_images(shape))
    annotated = cvat.read(tmp_path)
    assert annotated.images[0].boxes_nx4.tolist() == [pytest.approx(box, abs=1e-3)]
    assert not annotated.faults


def test_points_lines_and_skeletons_are_left_out_with_a_note(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    skeleton = '<skeleton label="dog"><points label="paw"/></skeleton>'
    lines = ('<points label="cat" points="1,2"/>', '<polyline label="cat" points="1,2;3,4"/>')
    put(tmp_path, annotations_dot_xml=for_images(BOX, skeleton, *lines))
    annotated = cvat.read(tmp_path)
    assert annotated.images[0].names == ("cat",)
    assert [(fault.kind, fault.what[:9]) for fault in annotated.faults] == [("unboxed_shape", "3 shapes ")]


def test_subsets_are_splits_and_folders_of_images(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{subset}/a.jpg" for subset in ("Train", "Validation", "default")))
    for subset in ("Train", "Validation", "default"):
        put(tmp_path, **{f"{subset}_dot_xml": for_images(BOX, subset=subset)})
    images = cvat.read(tmp_path).images
    assert [(entry.file, entry.split) for entry in images] == [
        ("images/Train/a.jpg", "train"), ("images/Validation/a.jpg", "validation"), ("images/default/a.jpg", "")
    ]  # fmt: skip


def test_names_may_have_folders_and_never_lead_outside(tmp_path: Path) -> None:
    touch(tmp_path, "images/day 1/a.jpg", "images/day 2/a.jpg")
    put(tmp_path, a_dot_xml=for_images(BOX, name="day 2/a.jpg"), b_dot_xml=for_images(BOX, name="../../a.jpg"))
    annotated = cvat.read(tmp_path)
    assert [entry.file for entry in annotated.images] == ["images/day 2/a.jpg"]
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("outside_folder", "b.xml image[0]")]


def frame(number: int, *, outside: int = 0, left: float = 1) -> str:
    return f'<box frame="{number}" outside="{outside}" keyframe="1" xtl="{left}" ytl="2" xbr="30" ybr="40"/>'


def test_tracks_of_a_video_are_boxes_of_its_frames(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/frame_{number:06d}.PNG" for number in (0, 3, 6)))
    first = f'<track id="0" label="cat">{frame(0)}{frame(3, left=5)}{frame(6, outside=1)}{frame(9, outside=1)}</track>'
    put(tmp_path, annotations_dot_xml=for_video(first, f'<track id="1" label="dog">{frame(3, left=7)}</track>'))
    annotated = cvat.read(tmp_path)
    assert [(entry.file[-10:-4], entry.names, entry.boxes_nx4[:, 0].tolist()) for entry in annotated.images] == [
        ("000000", ("cat",), [1]), ("000003", ("cat", "dog"), [5, 7]), ("000006", (), []),
    ]  # fmt: skip
    assert {(entry.group, entry.width, entry.height) for entry in annotated.images} == {("annotations.xml", 50, 41)}
    assert (annotated.classes, annotated.faults) == (("dog", "cat"), ())


def test_frames_without_an_image_have_the_place_where_it_is_expected(tmp_path: Path) -> None:
    put(tmp_path, annotations_dot_xml=for_video(f'<track id="0" label="cat">{frame(7)}{frame(8)}</track>'))
    assert [entry.file for entry in cvat.read(tmp_path).images] == ["images/frame_000007", "images/frame_000008"]


def test_tracks_of_several_tasks_are_refused(tmp_path: Path) -> None:
    tasks = f"<project>{LABELS}<tasks><task><id>1</id></task><task><id>2</id></task></tasks></project>"
    put(tmp_path, annotations_dot_xml=for_video(f'<track id="0" label="cat">{frame(7)}</track>', tasks=tasks))
    annotated = cvat.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("bad_file", "annotations.xml")]
    assert "export each task alone" in annotated.faults[0].what
    assert not annotated.images


@pytest.mark.parametrize(
    "shape",
    ['<box xtl="1" ytl="2" xbr="3" ybr="4"/>', '<box label="cat" xtl="1" ytl="2" xbr="3"/>',
     '<box label="cat" xtl="nan" ytl="2" xbr="3" ybr="4"/>',
     '<polygon label="cat" points="1,2;3"/>', '<polygon label="cat" points=""/>', '<ellipse label="cat" cx="1"/>', '<cuboid label="cat"/>',
     '<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4" rotation="left"/>', '<mask label="cat" left="1e99" top="1" width="2" height="3"/>'],
)  # fmt: skip
def test_a_bad_shape_is_a_fault_and_the_others_are_kept(shape: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, annotations_dot_xml=for_images(shape, BOX))
    annotated = cvat.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("bad_annotation", "annotations.xml image[0]")]
    assert annotated.images[0].boxes_nx4.tolist() == [[1.5, 2, 30, 40]]


@pytest.mark.parametrize("number", ["", "-1", "1.5", "9" * 5000, "\u0663"])
def test_a_bad_frame_is_a_fault(number: str, tmp_path: Path) -> None:
    put(tmp_path, a_dot_xml=for_video(f'<track id="0" label="cat">{frame(1).replace("1", number, 1)}{frame(2)}</track>'))
    annotated = cvat.read(tmp_path)
    assert [fault.kind for fault in annotated.faults] == ["bad_annotation"]
    assert len(annotated.images) == 1


SAMPLE = for_images(BOX, '<polygon label="dog" points="5,1;9.5,4"/>')
VIDEO = for_video(f'<track id="0" label="cat">{frame(0)}{frame(1)}</track>')


def test_cut_files(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "frame_000000.png")
    for text in (SAMPLE, VIDEO):
        put(tmp_path, x_dot_xml=text)
        assert_cuts_are_safe(cvat, tmp_path, "x.xml")


@settings(max_examples=200)
@given(data=damaged(SAMPLE, VIDEO))
def test_damaged_files_give_faults_and_open_nothing_outside(data: bytes) -> None:
    assert_damage_is_safe(cvat, "a_dot_xml", data)
