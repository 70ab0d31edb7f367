"""The program that locates objects without imgloc and JAX."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgloc.data.images import decode
from imgloc.data.transforms.pixels import resize_image
from imgloc.data.transforms.resize import letterbox
from imgloc.deployment import locate_exported
from imgloc.deployment.exported import RUNNER
from imgloc.inference.load import NO_BOXES, NO_LABELS
from imgloc.types import Example
from tests import processes

SIDE = st.integers(1, 90)
STRETCH = {"height": 64, "width": 64, "channels": 3, "resize": "stretch"}


def test_it_is_short_and_imports_nothing_but_numpy_pillow_and_a_runtime() -> None:
    text = RUNNER.read_text()
    assert len(text.splitlines()) < 300
    modules = {alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    others = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert others == {"numpy", "PIL", "onnxruntime", "iree"}


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, channels), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(height=SIDE, width=SIDE, new_height=SIDE, new_width=SIDE)
def test_images_are_resized_as_in_training_up_to_ties_of_rounding(height: int, width: int, new_height: int, new_width: int) -> None:
    image = noise(height, width)
    found, expected = locate_exported.resized(image, new_height, new_width), resize_image(image, new_height, new_width)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found != expected).mean() < 0.02 or found.size < 500


def test_bilinear_interpolation_has_the_same_bits() -> None:
    for size, new in (((40, 50), (64, 64)), ((64, 90), (50, 64)), ((28, 28), (64, 64)), ((1, 1), (4, 4))):
        np.testing.assert_array_equal(locate_exported.resized(noise(*size), *new), resize_image(noise(*size), *new))


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (64, 64), (200, 30)])
def test_letterboxed_images_are_those_of_training(size: tuple[int, int]) -> None:
    image = noise(*size)
    expected, content = letterbox(Example(image, NO_BOXES, NO_LABELS, 0, "", ""), size=(64, 64))
    found, found_content = locate_exported.to_input(image, {**STRETCH, "resize": "letterbox"})
    np.testing.assert_allclose(found_content, content, atol=1e-6)
    assert np.abs(found.astype(int) - expected.image_hxwxc).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_and_boxes_are_placed_as_by_imgloc(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(noise(30, 50)).save(path, exif=exif)
    picture = decode.read_picture(path)
    pixels, found = locate_exported.read_image(str(path), 3)
    assert found == orientation
    np.testing.assert_array_equal(pixels, picture.pixels_hxwxc)
    box = np.array([0.1, 0.2, 0.5, 0.9])
    height, width = pixels.shape[:2]
    in_pixels = box * [width, height, width, height]
    placed = locate_exported.placed(box, np.array([0.0, 0, 1, 1]), pixels.shape[:2], orientation)
    np.testing.assert_allclose(placed["box"], picture.stored_box(in_pixels), atol=1e-3)
    assert ("box_upright" in placed) == (orientation != 1)
    np.testing.assert_allclose(placed.get("box_upright", placed["box"]), picture.upright_box(in_pixels), atol=1e-3)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "CMYK", "I;16"])
def test_all_kinds_of_pixels_are_read_as_by_imgloc(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    deep = np.random.default_rng(0).integers(0, 65536, (9, 7), dtype=np.uint16)
    (Image.fromarray(deep) if mode == "I;16" else Image.fromarray(noise(9, 7)).convert(mode)).save(path)
    np.testing.assert_array_equal(locate_exported.read_image(str(path), 3)[0], decode.read_picture(path, channels=3).pixels_hxwxc)


def test_batches_of_a_fixed_size_are_filled() -> None:
    sizes = []

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        sizes.append(len(images))
        return {"sum": images.sum(axis=1)}

    given = np.arange(10).reshape(5, 2)
    found = locate_exported.in_batches(run, 3)(given)["sum"]
    np.testing.assert_array_equal(found, given.sum(axis=1))
    assert sizes == [3, 3]


def test_a_model_with_weights_in_other_files_is_refused_before_it_is_read() -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")
    weights = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="/etc/passwd")
    graph = onnx.helper.make_graph([], "g", [], [], [weights])
    content = onnx.helper.make_model(graph).SerializeToString()
    key = b"\n\x08location"
    assert key in content
    # Varints may be longer than they need to be, and the highest bits of a tag are ignored.
    for evading in (b"\n\x08", b"\n\x88\x00", b"\x8a\x80\x00\x08", b"\x8a\x00\x88\x80\x80\x00", b"\x8a\x80\x80\x80\x10\x08"):
        with pytest.raises(locate_exported.ModelError, match="reads data from other files"):
            locate_exported.open_onnx(content.replace(key, evading + b"location"))
    for damaged in (b"", b"\x00" * 100, content[: len(content) // 2]):
        with pytest.raises(locate_exported.ModelError, match="cannot read the model"):
            locate_exported.open_onnx(damaged)


@pytest.mark.parametrize("task", ["detect", "localize"])
def test_an_output_that_is_not_finite_is_an_error_of_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for path in paths:
        Image.fromarray(noise(8, 8)).save(path)
    boxes = np.array([[0.1, 0.2, 0.5, 0.9], [0.1, np.nan, 0.5, 0.9]], np.float32)
    detected = {"scores": np.ones((2, 1), np.float32), "labels": np.zeros((2, 1), np.int32), "boxes": boxes[:, None]}
    outputs = detected if task == "detect" else {"logits": np.ones((2, 1), np.float32), "box": boxes}
    described = {"task": task, "input": STRETCH, "calibration": {}, "classes": ["a"]}
    monkeypatch.setattr(locate_exported, "open_model", lambda *_, **__: (lambda _: outputs, described))
    monkeypatch.setattr(sys, "argv", ["locate_exported.py", "model.onnx", *paths])
    with pytest.raises(SystemExit) as stopped:
        locate_exported.main()
    assert stopped.value.code == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "error" not in first
    assert second == {"path": paths[1], "error": "the output of the model contains NaN or infinity"}


@pytest.mark.slow
def test_an_environment_without_jax_gives_the_answers_of_imgloc(tmp_path: Path, tiny_run: Path, cache: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    processes.run("export", str(run), "--to", "onnx", cache=cache)
    images = []
    for i, size in enumerate([(64, 64), (90, 40), (30, 70)]):
        images.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(noise(*size)).save(images[-1])
    expected = processes.run("locate", str(run), *images, cache=cache).stdout
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "numpy", "pillow", "onnxruntime"], check=True, capture_output=True)
    assert subprocess.run([python, "-c", "import jax"], capture_output=True, check=False).returncode != 0
    command = [python, run / "deployment" / RUNNER.name, run / "deployment" / "model.onnx", *images]
    found = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    for mine, theirs in zip(found.splitlines(), expected.splitlines(), strict=True):
        a, b = json.loads(mine), json.loads(theirs)
        assert a["class"] == b["class"]
        assert a["score"] == pytest.approx(b["score"], abs=1e-4)
        assert a["box"] == pytest.approx(b["box"], abs=0.02)
