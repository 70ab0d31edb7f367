"""`imgloc export` and `imgloc evaluate --predictor` on a run, and quantization."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import imgloc
from imgloc.api import exporting
from imgloc.cli.main import main
from imgloc.deployment import int8, locate_exported
from imgloc.errors import UserError
from imgloc.models import two_frame_tracker
from imgloc.nn.conv import conv
from tests.deployment.random_models import any_batch, images
from tests.deployment.test_exported import comparison

RNG = np.random.default_rng(0)
SHAPE = (8, 8, 3)


def layers(given: jnp.ndarray) -> dict[str, jnp.ndarray]:
    """Two convolutions and a dense layer."""
    x = given.astype(jnp.float32) / 255
    for i, channels in enumerate((3, 64)):
        x = jnp.maximum(conv(x, np.random.default_rng(i).standard_normal((3, 3, channels, 64)).astype(np.float32) / 20), 0)
    return {"logits": x.mean(axis=(1, 2)) @ np.random.default_rng(5).standard_normal((64, 4)).astype(np.float32)}


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_quantized_file_is_near_the_float_one_and_keeps_its_last_layer(mode: str) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    from imgloc.deployment.onnx_writer.write import to_onnx

    content, filters = to_onnx(layers, any_batch(SHAPE)), list(logging.getLogger().filters)
    quantized = int8.quantize(content, mode, [images(16, SHAPE)])
    assert logging.getLogger().filters == filters
    operations = [node.op_type for node in onnx.load_from_string(quantized).graph.node]
    assert "MatMul" in operations
    if mode == "static":
        assert "QuantizeLinear" in operations
        assert len(quantized) < 0.4 * len(content)
    batch = images(4, SHAPE)
    before, after = (locate_exported.open_onnx(each)(batch)["logits"] for each in (content, quantized))
    np.testing.assert_allclose(after, before, atol=0.1 * np.abs(before).max())
    assert mode == "dynamic" or not np.array_equal(after, before)


@pytest.mark.parametrize("has_tail", [False, True])
def test_the_last_layers_may_be_in_the_body_of_a_loop(has_tail: bool) -> None:
    helper = pytest.importorskip("onnx", reason="the extra 'export' is not installed").helper
    inner = [helper.make_node("MatMul", ["row", "captured"], ["h"], name="inner"), helper.make_node("Tanh", ["h"], ["next"], name="tanh")]
    body = helper.make_graph(inner, "body", [], [])
    nodes = [
        helper.make_node("MatMul", ["images", "w"], ["rows"], name="first"),
        helper.make_node("Gemm", ["images", "w"], ["captured"], name="read in the body"),
        helper.make_node("Scan", ["rows"], ["states"], name="scan", body=body, num_scan_inputs=1),
        helper.make_node("MatMul", ["states", "w"], ["out"], name="tail"),
    ]
    graph = helper.make_graph(nodes if has_tail else nodes[:3], "g", [], [])
    assert int8.last_layers(graph) == (["tail"] if has_tail else ["inner"])


def test_mistakes_are_named_before_anything_is_loaded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, message in (
        (["--to", "onx"], "unknown model format 'onx'"),
        (["--to", "stablehlo", "--int8", "static"], "--int8 is for --to onnx"),
        (["--to", "stablehlo", "--batch", "0"], "--batch is '0'"),
        (["--to", "stablehlo"], "is not a run folder, so the file needs a path; add --out FILE.stablehlo"),
        (["--to", "stablehlo", "--out", str(tmp_path / "a.onnx")], "must end with .stablehlo"),
        (["--to", "stablehlo", "--tolerance", "nan"], "--tolerance is nan; expected a finite number of at least 0, in units of the metric"),
        (["--to", "stablehlo", "--tolerance=-0.5"], "--tolerance is -0.5; expected"),
        (["--to", "stablehlo", "--tolerance", "inf"], "--tolerance is inf; expected"),
    ):
        assert main(["export", str(tmp_path), *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1


def test_a_file_of_others_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.stablehlo").write_text("mine")
    with pytest.raises(UserError, match="which imgloc export did not write"):
        imgloc.export(tmp_path, "stablehlo", out=tmp_path / "a.stablehlo")
    assert (tmp_path / "a.stablehlo").read_text() == "mine"
    (tmp_path / "locate_exported.py").write_text("mine")
    with pytest.raises(UserError, match="differs from the program that imgloc export writes there"):
        imgloc.export(tmp_path, "stablehlo", out=tmp_path / "b.stablehlo")
    assert (tmp_path / "locate_exported.py").read_text() == "mine"


def test_a_tracker_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = SimpleNamespace(module=two_frame_tracker.Model(num_classes=1), name="two_frame_tracker")
    monkeypatch.setattr(exporting, "open_model", lambda *_, **__: tracker)
    with pytest.raises(UserError, match="model 'two_frame_tracker' reads videos; imgloc export supports models of images"):
        imgloc.export(tmp_path, "stablehlo", out=tmp_path / "a.stablehlo")


@pytest.mark.slow
def test_a_run_is_exported_scored_by_its_file_and_compared(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    assert main(["export", str(run), "--to", "stablehlo", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert max(printed["differences"].values()) < 1e-4
    original = imgloc.evaluate(run)
    by_file = imgloc.evaluate(run, predictor=printed["path"])
    assert by_file.split == "test@model_stablehlo"
    a, b = (np.stack(results.rows()["pred_box"].to_list()) for results in (original, by_file))
    np.testing.assert_allclose(a, b, atol=1e-4)
    compared = imgloc.compare([str(run), f"{run}@model_stablehlo"], samples=50)
    assert compared.comparison.images == len(original.rows())
    assert imgloc.report([run, f"{run}@model_stablehlo"], tmp_path / "r.html").read_text().count("run@model_stablehlo") > 1
    with monkeypatch.context() as patched:
        patched.setattr(exporting, "compare_exported", lambda *_: comparison(0.8, 0.1))
        with pytest.raises(UserError, match="it falls by"):
            imgloc.export(run, "stablehlo", tolerance=0.0, out=tmp_path / "refused.stablehlo")
    assert not (tmp_path / "refused.stablehlo").exists()
    other = tmp_path / "other"
    shutil.copytree(run, other)
    description = json.loads((other / "deployment" / "model.stablehlo.json").read_text())
    (other / "deployment" / "model.stablehlo.json").write_text(json.dumps({**description, "bundle": "0" * 16}))
    with pytest.raises(UserError, match="was exported from another model"):
        imgloc.evaluate(other, predictor=other / "deployment" / "model.stablehlo")
