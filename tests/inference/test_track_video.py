from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.cli import main, track
from imgloc.data.images.video import every_frame
from imgloc.data.sources.moving_digits import source
from imgloc.inference import load
from imgloc.inference.track_video import track_detections, track_frames
from imgloc.models.correlation_filter import Model
from imgloc.nn.apply import as_inputs
from imgloc.tasks.classify import Answer
from imgloc.tasks.detect import DetectedObjects
from imgloc.types import InputSpec, Video
from tests.refusals import assert_refused


class Images(nn.Module):
    """A model of images."""

    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        return {}


@pytest.fixture(scope="module")
def trained() -> Any:
    """A correlation filter that never takes an object for hidden."""
    variables = {"fitted": {"threshold": jnp.zeros(())}}
    model = Model(num_classes=10, size=16, rate=(0.125,))
    return types.SimpleNamespace(
        module=model, variables=variables, spec=InputSpec((64, 64, 1)), dtype=jnp.float32, name="correlation_filter"
    )


def test_frame_by_frame_gives_the_boxes_of_the_whole_video(trained: Any) -> None:
    example = source("validation", seed=0, objects=2, videos=1, frames=8, occlusions=0)[0]
    assert example.frames_txhxwxc is not None
    start = [[edge * 64 for edge in box] for box in example.boxes_nx4.tolist()]
    streamed = list(track_frames(trained, example.frames_txhxwxc, start))
    video = Video(as_inputs(example.frames_txhxwxc[None], jnp.float32), jnp.asarray(example.boxes_nx4[None]))
    outputs = jax.jit(lambda video: trained.module.apply(trained.variables, video, train=False))(video)
    whole = np.clip(np.asarray(outputs["tracks"][0]), 0, 1) * 64
    np.testing.assert_allclose(np.stack([frame.boxes_nx4 for frame in streamed]), whole, atol=1e-3)
    np.testing.assert_allclose(np.stack([frame.scores_n for frame in streamed]), outputs["track_scores"][0], atol=1e-4)
    assert np.abs(whole[-1] - whole[0]).max() > 2, "nothing moves"


def test_the_command_prints_a_line_for_each_frame_and_writes_a_video(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = source("validation", seed=0, videos=1, frames=6, occlusions=0)[0].frames_txhxwxc
    assert frames is not None
    writer = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for frame in frames:
        writer.write(np.repeat(frame, 3, axis=2))
    writer.release()
    monkeypatch.setattr(load, "open_model", lambda path, checkpoint: trained)
    arguments = ["runs/a", str(tmp_path / "in.avi"), "--start", "10,10,30,30", "--start", "5,5,20,20", "--out", str(tmp_path / "out.mp4")]
    assert track.run(main.make_parser().parse_args(["track", *arguments]), []) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["frame"] for line in lines] == list(range(6))
    assert lines[0]["objects"][0] == {"box": [10.0, 10.0, 30.0, 30.0], "score": 1.0}
    assert all(len(line["objects"]) == 2 for line in lines)
    written = list(every_frame(tmp_path / "out.mp4"))
    assert [frame.shape for frame in written] == [(64, 64, 3)] * 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.avi", "out.mp4"]
    monkeypatch.setattr(track, "_picture", pytest.fail)  # nothing is drawn without --out
    assert track.run(main.make_parser().parse_args(["track", *arguments[:-2]]), []) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == lines


def test_a_detector_needs_no_first_box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def predict(frame: np.ndarray) -> Any:
        place = 4 * round(float(frame.mean()) / 40)  # the gray level of a frame is 40 times its number
        objects = (Answer("dog", 0.75, (place, 10, place + 20, 30)), Answer("cat", 0.5, (-2, 40, 18, 60)))
        return [types.SimpleNamespace(answer=DetectedObjects(objects[: 2 if place < 16 else 0], 0.1))]

    detector = types.SimpleNamespace(
        bundle=types.SimpleNamespace(task="detect"), classes=("cat", "dog"), predict=predict, name="detector", module=Images()
    )
    writer = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for level in range(0, 200, 40):
        writer.write(np.full((64, 64, 3), level, np.uint8))
    writer.release()
    monkeypatch.setattr(load, "open_model", lambda path, checkpoint: detector)
    arguments = ["track", "runs/a", str(tmp_path / "in.avi"), "--out", str(tmp_path / "out.mp4")]
    assert track.run(main.make_parser().parse_args(arguments), []) == 0
    lines = [json.loads(line)["objects"] for line in capsys.readouterr().out.splitlines()]
    found = [[(each["track"], each["class"], each["score"]) for each in line] for line in lines]
    assert found == [[(0, "dog", 0.75), (1, "cat", 0.5)]] * 4 + [[]]
    assert lines[3][1]["box"] == pytest.approx([0, 40, 18, 60], abs=0.5)
    assert lines[3][0]["box"] == pytest.approx([12, 10, 32, 30], abs=2)
    assert len(list(every_frame(tmp_path / "out.mp4"))) == 5
    detector.bundle.task = "classify"
    assert_refused(lambda: list(track_detections(detector, [])), "needs a model of the task detect")  # type: ignore[arg-type]


def test_boxes_outside_and_other_models_are_refused(trained: Any) -> None:
    frames = [np.zeros((20, 30, 1), np.uint8)]
    assert_refused(lambda: list(track_frames(trained, frames, [[0, 0, 31, 10]])), "is not a box in a frame of 30 x 20 pixels")
    images = types.SimpleNamespace(**{**vars(trained), "module": Images(), "name": "localizer"})
    assert_refused(lambda: list(track_frames(images, frames, [[0, 0, 10, 10]])), "model 'localizer' reads images")
    assert_refused(lambda: track._box("1,2,3"), "is not a box")
