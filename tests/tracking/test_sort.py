"""SORT against a textbook Kalman filter, on made tracks, and against the published counts of TUD-Campus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgloc.tracking import multi_object, sort
from imgloc.tracking.sort import SortOptions, SortTracks

ONE = np.zeros(1, np.int64)


def box(x: float, y: float, w: float = 20, h: float = 40) -> list[float]:
    return [x, y, x + w, y + h]


def run(frames: list[list[list[float]]], labels: list[list[int]] | None = None, **options: float) -> list[dict[int, list[float]]]:
    """The confirmed tracks of each frame: number -> box."""
    tracks, found = SortTracks(), []
    for number, detections in enumerate(frames):
        labels_n = np.array(labels[number] if labels else [0] * len(detections), np.int64)
        tracks, shown, of_track = sort.advance(tracks, np.array(detections, float).reshape(-1, 4), labels_n, SortOptions(**options))  # type: ignore[arg-type]
        assert len(of_track) == len(tracks.ids_m)
        assert (of_track[shown] >= 0).all()
        found.append({int(tracks.ids_m[k]): tracks.boxes_mx4()[k].tolist() for k in shown})
    return found


def textbook(measurements: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance after measurements of center, area and ratio, with the equations of Kalman (1960) for one track."""
    F, H = np.eye(7), np.eye(4, 7)
    F[[0, 1, 2], [4, 5, 6]] = 1
    R, Q = np.diag([1, 1, 10, 10.0]), np.diag([1, 1, 1, 1, 0.01, 0.01, 0.0001])
    x, P = np.append(measurements[0], [0, 0, 0]), np.diag([10.0] * 4 + [10_000.0] * 3)
    for z in measurements[1:]:
        x, P = F @ x, F @ P @ F.T + Q
        K = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
        x, P = x + K @ (z - H @ x), (np.eye(7) - K @ H) @ P
    return x, P


def test_a_track_is_that_of_a_textbook_kalman_filter() -> None:
    rng = np.random.default_rng(0)
    low = np.cumsum(rng.normal(2, 1, (12, 2)), axis=0) + 50
    boxes_tx4 = np.concatenate([low, low + rng.uniform(30, 34, (12, 2))], axis=1)
    tracks = SortTracks()
    for each in boxes_tx4:
        tracks, _, _ = sort.advance(tracks, each[None], ONE)
    width, height = (boxes_tx4[:, 2] - boxes_tx4[:, 0]), (boxes_tx4[:, 3] - boxes_tx4[:, 1])
    center = (boxes_tx4[:, :2] + boxes_tx4[:, 2:]) / 2
    mean, covariance = textbook(np.column_stack([center, width * height, width / height]))
    np.testing.assert_allclose(tracks.state_mx7, mean[None], rtol=1e-9)
    np.testing.assert_allclose(tracks.covariance_mx7x7, covariance[None], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(tracks.boxes_mx4()[0], boxes_tx4[-1], atol=3)


def test_boxes_and_states_are_inverse() -> None:
    boxes_nx4 = np.array([box(3, 4), box(0, 0, 1, 9.5)])
    np.testing.assert_allclose(sort.box_of(np.concatenate([sort.observed(boxes_nx4), np.zeros((2, 3))], axis=1)), boxes_nx4)


def test_tracks_keep_their_numbers_and_begin_after_three_detections_in_a_row() -> None:
    frames = [[box(10 + 3 * t, 20), *([box(200, 20 + 2 * t)] if t >= 5 else [])] for t in range(12)]
    found = run(frames)
    assert [set(each) for each in found] == [{0}] * 8 + [{0, 1}] * 4
    assert found[-1][1] == pytest.approx(frames[-1][1], abs=2)


def test_a_track_survives_a_frame_without_its_detection_and_ends_after_two() -> None:
    def tracks_of(missing: set[int]) -> list[set[int]]:
        return [set(each) for each in run([[box(10 + 3 * t, 20)] if t not in missing else [] for t in range(12)])]

    one, two = tracks_of({6}), tracks_of({6, 7})
    assert one == [{0}] * 6 + [set()] * 3 + [{0}] * 3, "the same track, after three detections in a row"
    assert two == [{0}] * 6 + [set()] * 5 + [{1}]
    assert [set(each) for each in run([[box(9, 9)], [], [], [box(9, 9)]], max_age=2)] == [{0}, set(), set(), set()]


def test_objects_of_two_classes_that_cross_keep_their_tracks() -> None:
    across = [[box(10 * t, 20), box(100 - 10 * t, 20)] for t in range(11)]
    found = run(across, labels=[[0, 1]] * 11)
    assert found[-1][0] == pytest.approx(across[-1][0], abs=1)
    assert found[-1][1] == pytest.approx(across[-1][1], abs=1)


def test_an_area_stays_above_zero() -> None:
    shrinking = [[box(50, 50, 40 - 9 * t, 40 - 9 * t)] for t in range(5)]
    tracks = SortTracks()
    for each in shrinking:
        tracks, _, _ = sort.advance(tracks, np.array(each), ONE)
    for _ in range(3):
        tracks = sort.predicted(tracks)
        assert (tracks.state_mx7[:, sort.AREA] > 0).all()
        assert np.isfinite(tracks.boxes_mx4()).all()


def test_frames_without_detections_have_no_tracks() -> None:
    assert run([[], [], []]) == [{}, {}, {}]


@pytest.mark.slow
def test_tud_campus_has_the_published_counts(data_folder: Path) -> None:
    """The row of TUD-Campus in the README of github.com/abewley/sort; det.txt is of its folder data/train, gt.txt of MOTChallenge 2015."""
    folder = data_folder / "tud_campus"
    if not folder.is_dir():
        pytest.skip("IMGLOC_DATA has no folder tud_campus with gt.txt and det.txt")
    truth, detections = (np.loadtxt(folder / name, delimiter=",") for name in ("gt.txt", "det.txt"))
    count = int(truth[:, 0].max())
    of_frame = [detections[detections[:, 0] == frame][:, 2:6] for frame in range(1, count + 1)]
    found = run([np.concatenate([each[:, :2], each[:, :2] + each[:, 2:]], axis=1).tolist() for each in of_frame])

    def by_track(tracks: dict[int, dict[int, np.ndarray]]) -> np.ndarray:
        return np.array([[track.get(frame, np.full(4, np.nan)) for frame in range(count)] for track in tracks.values()])

    objects: dict[int, dict[int, np.ndarray]] = {}
    for frame, number, x, y, w, h in truth[:, :6]:
        objects.setdefault(int(number), {})[int(frame) - 1] = np.array([x, y, x + w, y + h])
    tracks: dict[int, dict[int, np.ndarray]] = {}
    for frame, shown in enumerate(found):
        for number, edges in shown.items():
            tracks.setdefault(number, {})[frame] = np.array(edges)
    counts = multi_object.clear(multi_object.pairwise(by_track(objects), by_track(tracks)))
    assert (counts.false_positives, counts.misses, counts.switches) == (15, 113, 6)
    assert multi_object.mota_of(np.array(counts, float)) == pytest.approx(0.627, abs=0.0005)
