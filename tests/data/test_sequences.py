from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.data.sequences import find_sequences
from imgloc.data.sources.video_folder import source
from tests.refusals import assert_refused
from tests.video_folders import write_frames


def test_each_format_gives_the_pixels_that_a_box_encloses(tmp_path: Path) -> None:
    """The object covers columns 2 to 5 and rows 1 to 3 of the first frame, and moves one pixel to the right in each."""
    for name, folder in (("mot", "img1"), ("otb", "img"), ("vot", "color"), ("got", ""), ("polygon", "")):
        write_frames(tmp_path / name / folder, 3)
    (tmp_path / "mot" / "gt").mkdir()
    lines = ["1,7,3,2,4,3,1,1,1.0", "2,7,4,2,4,3,1,1,0.5", "3,7,5,2,4,3,1,1,0.0", "1,9,3,2,4,3,0,8,1.0"]
    (tmp_path / "mot" / "gt" / "gt.txt").write_text("\n".join(lines))
    (tmp_path / "otb" / "groundtruth_rect.txt").write_text("3\t2\t4\t3\n4\t2\t4\t3\n5\t2\t4\t3\n")
    (tmp_path / "vot" / "groundtruth.txt").write_text("2,1,4,3\n3,1,4,3\n4,1,4,3\n")
    (tmp_path / "got" / "groundtruth.txt").write_text("2.0,1.0,4.0,3.0\n3,1,4,3\n4,1,4,3\n")
    (tmp_path / "got" / "absence.label").write_text("0\n0\n1\n")
    (tmp_path / "got" / "cover.label").write_text("8\n4\n0\n")
    (tmp_path / "polygon" / "groundtruth.txt").write_text("2,1,6,1,6,4,2,4\n3,1,7,1,7,4,3,4\nNaN,NaN,NaN,NaN\n")
    found = {each.name: each for each in find_sequences(tmp_path)}
    assert sorted(found) == ["got", "mot", "otb", "polygon", "vot"]
    expected = np.array([[2, 1, 6, 4], [3, 1, 7, 4], [4, 1, 8, 4]], float)
    for name, each in found.items():
        assert [path.name for path in each.frames] == ["1.png", "2.png", "10.png"], "frames are ordered by their numbers"
        absent = name in ("got", "polygon")
        np.testing.assert_array_equal(each.boxes_txnx4[: 2 if absent else 3, 0], expected[: 2 if absent else 3])
        assert np.isnan(each.boxes_txnx4[2, 0]).all() == absent
    assert found["mot"].boxes_txnx4.shape == (3, 1, 4)
    assert found["mot"].visible_txn[:, 0].tolist() == [1, 0.5, 0]
    assert found["got"].visible_txn[:, 0].tolist() == [1, 0.5, 0]


def test_a_clip_begins_where_an_object_is_and_lists_later_ones_last(tmp_path: Path) -> None:
    write_frames(tmp_path / "test" / "a" / "img1", 6)
    (tmp_path / "test" / "a" / "gt").mkdir()
    lines = [*(f"{k},1,3,2,4,3,1,1,1" for k in (4, 5, 6)), *(f"{k},2,4,2,4,3,1,1,1" for k in (2, 3, 4, 5))]
    (tmp_path / "test" / "a" / "gt" / "gt.txt").write_text("\n".join(lines))
    split = source("test", seed=0, folder=str(tmp_path), frames=4)
    assert [split[k].id for k in range(len(split))] == ["test/a:1"]  # frame 1 has no box, and the last one alone is not a video
    tracks = split[0].tracks
    assert tracks is not None
    assert np.asarray(tracks.present).T.tolist() == [[True] * 4, [False, False, True, True]]
    np.testing.assert_array_equal(split[0].boxes_nx4, tracks.boxes[0, :1])
    np.testing.assert_allclose(split[0].boxes_nx4[0] * [20, 10, 20, 10], [3, 1, 7, 4], atol=1e-5)


def test_frames_are_reduced_and_the_size_stays_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    for k in range(3):
        Image.new("RGB", (80, 40), (0, 0, 90)).save(tmp_path / "train" / "a" / f"{k}.jpg")
    (tmp_path / "train" / "a" / "groundtruth.txt").write_text("20,10,20,10\n" * 3)
    example = source("train", seed=0, folder=str(tmp_path), side=16)[0]
    assert example.frames_txhxwxc is not None
    assert example.frames_txhxwxc.shape == (3, 8, 16, 3)
    assert (example.truth.width, example.truth.height) == (80, 40)
    np.testing.assert_allclose(example.boxes_nx4[0], [0.25, 0.25, 0.5, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [("1,2,x,4\n", "groundtruth.txt:1: '1,2,x,4' is not a line of numbers"), ("1,2,3\n", "the line has 3 numbers; a box has 4")],
)
def test_lines_that_are_no_boxes_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    write_frames(tmp_path / "a", 2)
    (tmp_path / "a" / "groundtruth.txt").write_text(text)
    assert_refused(lambda: find_sequences(tmp_path), message)


def test_folders_without_videos_are_refused(tmp_path: Path) -> None:
    assert_refused(lambda: find_sequences(tmp_path / "none"), "no such folder")
    assert_refused(lambda: find_sequences(tmp_path), "has no videos with boxes")
    (tmp_path / "groundtruth.txt").write_text("1,2,3,4\n")
    assert_refused(lambda: find_sequences(tmp_path), "no images of frames")
