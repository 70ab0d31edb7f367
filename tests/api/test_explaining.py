"""Explanations in Python and by the command: the maps of a trained model for images, files, folders and videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from PIL import Image

import imgloc
from imgloc.api.explaining import explain
from imgloc.cli import main
from imgloc.inference.explain import box_of_map, map_over_image
from imgloc.inference.load import TrainedModel, prepare
from imgloc.inference.predictions import as_picture
from imgloc.nn.detections import Suppression, select_detections
from imgloc.types import InputSpec
from tests import processes
from tests.data.test_video import written
from tests.inference.trained import trained_model
from tests.refusals import assert_refused


class Corner(nn.Module):
    """Two classes: how red and how green the maps are; the box is that of the image."""

    num_classes: int = 2

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
        maps = nn.relu(images[:, ::2, ::2, :2] * self.param("scale", nn.initializers.ones, ()))
        pooled = maps.mean(axis=(1, 2))
        box = jnp.stack([pooled[:, 0] * 0.1, pooled[:, 1] * 0.1, 0.9 + 0 * pooled[:, 0], 0.8 + 0 * pooled[:, 0]], axis=-1)
        return {"logits": 20 * pooled, "box": box, "features": {"maps": maps}}


@pytest.fixture
def trained() -> TrainedModel:
    return trained_model(Corner(), InputSpec((16, 16, 3)), ("red", "green"), variables={"params": {"scale": np.float32(1)}})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A black photo, 40 x 20, with a red upper left quarter and a green lower right quarter that is smaller."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:10, :20, 0] = 255
    pixels[15:, 30:, 1] = 255
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "photo.png")
    return tmp_path / "in" / "photo.png"


def test_maps_show_where_the_classes_are(trained: TrainedModel, picture: Path) -> None:
    red, green = explain(trained, picture, "grad_cam"), explain(trained, picture, ["grad_cam"], target="green")
    assert (red[0].target, green[0].target) == ("red", "green")
    assert red[0].score > 0.5 > green[0].score
    assert red[0].box == pytest.approx((0, 0, 20, 10), abs=3)
    assert green[0].box == pytest.approx((30, 15, 40, 20), abs=3)
    assert red[0].map_hxw.shape == (16, 16)
    assert red[0].draw().size == (40, 20)
    assert (red[0].map_hxw.min(), red[0].map_hxw.max()) == (0, 1)


def test_images_of_all_kinds_have_one_explanation_for_each_method(trained: TrainedModel, picture: Path, tmp_path: Path) -> None:
    clip = written(tmp_path / "clip.avi", 5)
    array = np.asarray(Image.open(picture))
    found = explain(trained, [str(picture.parent), array, str(clip)], ["grad_cam", "gradient"], frames=2, batch_size=3)
    assert [each.name for each in found[::2]] == [str(picture), "1", f"{clip}#0", f"{clip}#4"]
    assert [each.method for each in found] == ["grad_cam", "gradient"] * 4
    np.testing.assert_array_equal(found[0].map_hxw, found[2].map_hxw)
    assert len(explain(trained, np.stack([array, array]), ["cam"])) == 2


def test_an_empty_folder_is_reported_and_the_other_images_are_explained(trained: TrainedModel, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    failed: list[str] = []
    found = explain(trained, [tmp_path / "empty", picture], ["gradient"], on_error=lambda name, error: failed.append(f"{name}: {error}"))
    assert [each.name for each in found] == [str(picture)]
    assert len(failed) == 1
    assert "no images in the folder" in failed[0]
    assert_refused(lambda: explain(trained, [tmp_path / "empty", picture], ["gradient"]), "no images in the folder")


def test_mistakes_are_refused(trained: TrainedModel, picture: Path) -> None:
    def asked(methods: Any = ("grad_cam",), **options: Any) -> Any:
        return lambda: explain(trained, picture, methods, **options)

    assert_refused(asked(["grad_cm"]), "unknown explanation method 'grad_cm'", "did you mean 'grad_cam'")
    assert_refused(asked(target="blue"), "unknown target 'blue'")
    assert_refused(asked(target="detection:0"), "requires a model with the output 'dense_logits'")
    assert_refused(asked(layer="map"), "did you mean 'maps'")
    assert_refused(asked(["step_gain"]), "several steps")
    assert_refused(asked(threshold=1.0), "threshold must be")
    assert_refused(asked(options={"rise": {}}), "not among the methods")
    assert_refused(asked(["rise"], options={"rise": {"mask": 1}}), "no option 'mask'; possible: masks, grid, probability")
    assert_refused(lambda: explain(trained, picture.parent / "no.png"), "no such image file")


class Squares(nn.Module):
    """A detector of one class with two locations, left and right: it finds what is bright there."""

    num_classes: int = 1

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
        brightness_bx2 = jnp.stack([half.mean(axis=(1, 2, 3)) for half in jnp.split(images, 2, axis=2)], axis=1)
        logits = (20 * brightness_bx2 - 10 + self.param("bias", nn.initializers.zeros, ()))[..., None]
        boxes = jnp.broadcast_to(jnp.array([[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]), (len(images), 2, 4))
        found = select_detections(nn.sigmoid(logits), boxes, Suppression(max_detections=4, min_score=0.1))
        return {"dense_logits": logits, "dense_boxes": boxes, **found}


def test_a_detection_that_does_not_exist_is_refused_with_the_number_of_detections(tmp_path: Path) -> None:
    variables = {"params": {"bias": np.float32(0)}}
    trained = trained_model(Squares(), InputSpec((8, 8, 3)), ("bright",), task="detect", variables=variables)
    none, left, both = (np.zeros((8, 8, 3), np.uint8) for _ in range(3))
    left[:, :4] = both[:] = 255
    found = explain(trained, left, ["gradient"], target="detection:0")
    assert (found[0].target, found[0].score) == ("bright, detection 0", pytest.approx(10))
    assert_refused(
        lambda: explain(trained, left, ["gradient"], target="detection:1"),
        "image 0: there is no detection 1", "the model finds 1 in this image", "possible: detection:0 to detection:0",
    )  # fmt: skip
    assert_refused(lambda: explain(trained, both, ["gradient"], target="detection:7:left"), "there is no detection 7", "finds 2")
    assert_refused(lambda: explain(trained, none, ["gradient"]), "there is no detection 0", "finds 0", "nothing to explain")
    failed: list[str] = []
    found = explain(trained, [none, both, left], ["gradient"], target="detection:1", on_error=lambda name, _: failed.append(name))
    assert ([each.name for each in found], failed) == (["1"], ["0", "2"])


def test_a_map_covers_the_image_in_a_letterboxed_input() -> None:
    spec = InputSpec((16, 16, 3), resize="letterbox")
    prepared = prepare(as_picture(np.zeros((10, 40, 3), np.uint8), 3), spec)
    rows = np.repeat(np.arange(16.0)[:, None], 16, axis=1)
    over = map_over_image(rows, prepared)
    assert over.shape == (4, 16)
    np.testing.assert_allclose(over[:, 0], [6, 7, 8, 9])


def test_a_map_is_zeros_where_a_cropped_input_does_not_show_the_image() -> None:
    prepared = prepare(as_picture(np.zeros((10, 40, 3), np.uint8), 3), InputSpec((16, 16, 3), resize="crop"))
    columns = np.repeat(np.arange(1.0, 17.0)[None], 16, axis=0)
    over = map_over_image(columns, prepared)
    assert over.shape == (16, 64), "the input shows a quarter of the width"
    np.testing.assert_allclose(over[0], [0.0] * 24 + columns[0].tolist() + [0.0] * 24)
    tall = map_over_image(columns, prepare(as_picture(np.zeros((40, 10, 3), np.uint8), 3), InputSpec((16, 16, 3), resize="crop")))
    np.testing.assert_array_equal(tall, np.pad(columns, ((24, 24), (0, 0))))


def test_the_box_of_a_map_is_that_of_its_largest_region() -> None:
    values = np.zeros((10, 20), np.float32)
    values[2:6, 4:12] = 0.6
    values[8, 18] = 1.0
    np.testing.assert_allclose(box_of_map(values, 0.2), [4 / 20, 2 / 10, 12 / 20, 6 / 10])
    np.testing.assert_allclose(box_of_map(values, 0.8), [18 / 20, 8 / 10, 19 / 20, 9 / 10])
    assert box_of_map(np.zeros((4, 4), np.float32), 0.2) is None


def test_the_command_writes_a_sheet_and_prints_a_line_for_each_map(
    trained: TrainedModel, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("imgloc.inference.load.open_model", lambda path, checkpoint: trained)
    out = tmp_path / "sheet.png"
    command = ["explain", "runs/a", str(picture.parent), "--methods", "grad_cam,gradient", "--out", str(out)]
    assert main.main([*command, "--target", "green"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["path"], line["method"], line["target"], line["file"]) for line in lines] == [
        (str(picture), "grad_cam", "green", str(out)), (str(picture), "gradient", "green", str(out)),
    ]  # fmt: skip
    assert [line["layer"] for line in lines] == ["maps", None]
    assert lines[0]["box"] == pytest.approx([30, 15, 40, 20], abs=3)
    assert lines[1]["box"] is None or len(lines[1]["box"]) == 4
    assert Image.open(out).width == 3 * 234 + 10
    assert main.main(["explain", "runs/a", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "method grad_cam: " in printed
    assert "layer maps: 8 x 8 x 2" in printed
    mistakes = {"no images": [], "ends in .png": [str(picture), "--out", "a.gif"], "did you mean '--methods'": [str(picture), "--method"]}
    (picture.parent / "bad.png").write_bytes(b"no picture")
    assert main.main([*command, "--target", "green"]) == 1
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["path"] for line in printed] == [str(picture.parent / "bad.png"), str(picture), str(picture)]
    assert "not an image" in printed[0]["error"]
    for message, arguments in mistakes.items():
        assert main.main(["explain", "runs/a", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_explain_is_a_name_of_the_package() -> None:
    assert imgloc.explain is explain
    assert {"explain", "write_explanations", "Explanation"} <= set(imgloc.__all__)


def test_a_recurrent_run_is_explained_and_scored_by_the_command(tiny_run: Path, cache: Path, tmp_path: Path, picture: Path) -> None:
    done = processes.run(
        "explain", str(tiny_run), str(picture), "--methods", "step_gain,gradient", "--out", str(tmp_path / "a.png"), cache=cache
    )
    assert [json.loads(line)["method"] for line in done.stdout.splitlines()] == ["step_gain", "gradient"]
    assert (tmp_path / "a.png").is_file()
    table = imgloc.evaluate_explanations(tiny_run, ["gradient"], count=8)
    assert set(table.method) == {"gradient", "center", "edges", "noise"}
    saved = json.loads((tiny_run / "explanations.json").read_text())["validation"]["methods"]
    pointing = table[table.method.eq("gradient") & table.metric.eq("pointing")]["mean"].item()
    assert saved["gradient"]["pointing"]["mean"] == pytest.approx(pointing)
    assert set(table.columns) == {"method", "metric", "mean", "low", "high", "n"}
    assert main.main(["explain", str(tiny_run), "--evaluate", "--methods", "grad_cam"]) == 2
