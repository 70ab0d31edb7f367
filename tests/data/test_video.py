"""Frames of videos, written by OpenCV and read back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from imgloc.data.images.video import is_video, read_frames
from tests.refusals import assert_refused


def written(path: Path, count: int) -> Path:
    """A video of `count` frames, frame n of the gray 20 n, with a red left half."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 16))
    for number in range(count):
        frame = np.full((16, 32, 3), 20 * number, np.uint8)
        frame[:, :16] = (0, 0, 255)  # BGR
        video.write(frame)
    video.release()
    return path


def test_frames_are_spread_evenly_and_in_rgb(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.avi", 11)
    assert is_video(path)
    assert not is_video("photo.jpg")
    frames = read_frames(path, 3)
    assert [number for number, _ in frames] == [0, 5, 10]
    for number, frame in frames:
        assert frame.shape == (16, 32, 3)
        assert np.abs(frame[:, 24:].astype(int) - 20 * number).max() < 12
        assert frame[8, 4, 0] > 200
        assert frame[8, 4, 2] < 60
    assert len(read_frames(path, 100)) == 11


def test_files_that_are_no_videos_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert_refused(lambda: read_frames(tmp_path / "a.mp4", 3), "no frame")
    assert_refused(lambda: read_frames(tmp_path / "b.mp4", 3), "no such video file")
