"""Exported models as files with a description: StableHLO, which needs no extra, and what is refused."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from imgloc.config import registry
from imgloc.config.registry import declared
from imgloc.deployment import exported
from imgloc.deployment.exported import Description, ModelFormat
from imgloc.errors import UserError
from imgloc.evaluation.exported import Comparison, _Recorder, named_after, rows_name
from imgloc.evaluation.scoring import metric_of
from imgloc.evaluation.statistics import Interval
from imgloc.evaluation.target import Target
from imgloc.models import sequence
from imgloc.types import InputSpec
from tests.deployment.random_models import any_batch, forms, images, in_jax, random_model
from tests.inference.trained import trained_model

SHAPE = (12, 10, 1)


@functools.cache
def written(kind: str = "stablehlo") -> tuple[bytes, Description]:
    """A small model in a format."""
    trained = trained_model(sequence.Model(num_classes=2, features=4), InputSpec(SHAPE), ("a", "b"), task="classify", name="sequence")
    form = declared("deployment.formats", kind, ModelFormat)
    content = form.write(exported.exported_function(trained), exported.images_spec(trained, form.default_batch))
    return content.content, exported.describe(trained, kind, content, form.default_batch, "")


def saved(folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None, content: bytes | None = None) -> Path:
    """The file of that model, with another description or content; the description has its hash."""
    original, description = written()
    path = folder / "model.stablehlo"
    exported.save(path, original if content is None else content, description)
    values = json.loads(exported.described_by(path).read_text())
    values["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    change(values)
    exported.described_by(path).write_text(json.dumps(values))
    return path


def test_a_file_predicts_what_the_model_predicts_for_any_number_of_images(tmp_path: Path) -> None:
    model = exported.open_exported(saved(tmp_path))
    batch = images(5, SHAPE)
    found = model.run(batch)
    assert {name: value.shape for name, value in found.items()} == {"logits": (5, 2)}
    np.testing.assert_allclose(model.run(batch[1:2])["logits"], found["logits"][1:2], rtol=1e-5)
    assert not np.array_equal(found["logits"][0], found["logits"][1])


def test_the_description_has_what_another_program_needs(tmp_path: Path) -> None:
    values = json.loads(exported.described_by(saved(tmp_path)).read_text())
    assert values["classes"] == ["a", "b"]
    assert values["outputs"] == {"logits": ["b", 2]}
    assert {key: values["input"][key] for key in ("name", "height", "width", "channels", "resize")} == {
        "name": "images", "height": 12, "width": 10, "channels": 1, "resize": "stretch",
    }  # fmt: skip
    assert "continuous" in values["boxes"]
    assert values["batch"] == 0
    assert values["details"]["platforms"] == ["cpu", "cuda", "tpu"]


def set_to(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda values: values.__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_to("sha256", "0" * 64), "is damaged, or is not the file that 'model.stablehlo.json' describes"),
        (set_to("format", 9), "does not describe a model of format 1"),
        (set_to("kind", "pickle"), "unknown format 'pickle'; possible: iree, onnx, stablehlo"),
        (set_to("kind", "../../x"), "unknown format"),
        (set_to("outputs", 3), "is not the description of a model"),
        (lambda values: values.pop("batch"), "has no valid 'batch'"),
        (set_to("batch", -1), "has no valid 'batch'; export the model again"),
        (set_to("batch", True), "has no valid 'batch'"),
        (set_to("task", None), "has no valid 'task'"),
        (set_to("classes", 3), "has no valid 'classes'"),
        (set_to("classes", ["a", 3]), "has no valid 'classes'"),
        (set_to("input", {"height": 12, "width": 10, "channels": 0, "resize": "stretch"}), "has no valid 'input'"),
        (set_to("calibration", {"score_threshold": "high"}), "has no valid 'calibration'"),
        (set_to("details", []), "has no valid 'details'"),
    ],
)
def test_a_description_that_is_damaged_is_refused_in_one_line(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = saved(tmp_path, change)
    with pytest.raises(UserError) as error:
        exported.open_exported(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"not a model", written()[0][:200], written()[0][:-200]])
def test_a_damaged_model_is_refused_in_one_line_even_with_its_hash(tmp_path: Path, content: bytes) -> None:
    path = saved(tmp_path, content=content)
    with pytest.raises(UserError) as error:
        exported.open_exported(path).run(images(1, SHAPE))
    assert "\n" not in str(error.value)


def test_missing_and_half_written_files_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    exported.described_by(path).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        exported.open_exported(path)
    exported.described_by(path).unlink()
    with pytest.raises(UserError, match="cannot read"):
        exported.open_exported(path)


def test_machine_code_is_not_executed_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        exported, "format_of", lambda _: dataclasses.replace(declared("deployment.formats", "iree", ModelFormat), open=pytest.fail)
    )
    with pytest.raises(UserError, match=r"machine code.*--allow-native-code"):
        exported.open_exported(saved(tmp_path, lambda values: values.update(kind="iree", details={"outputs": ["logits"]})))


@pytest.mark.parametrize("name", registry.names("deployment.formats"))
def test_a_format_declares_what_it_needs(name: str) -> None:
    form = declared("deployment.formats", name, ModelFormat)
    assert form.suffix.startswith(".")
    assert bool(form.extra) == bool(form.modules)
    assert form.any_batch or form.default_batch > 0


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "_is_installed", lambda module: module != "onnx")
    with pytest.raises(UserError, match=r"format 'onnx' needs the module 'onnx', which is not installed; pip install 'imgloc\[export\]'"):
        exported.format_of("onnx")
    with pytest.raises(UserError, match="unknown model format 'onx'; did you mean 'onnx'"):
        exported.format_of("onx")


def comparison(before: float, after: float) -> Comparison:
    return Comparison(
        {"top1": Interval(before, before - 0.05, before + 0.05, 100)}, {"top1": Interval(after, 0.0, 1.0, 100)}, {}, metric_of("top1")
    )


def test_a_metric_that_falls_below_the_interval_or_beyond_the_tolerance_is_refused() -> None:
    comparison(0.8, 0.76).check(None)
    comparison(0.8, 0.9).check(0.0)
    comparison(0.8, 0.7).check(0.2)
    with pytest.raises(UserError, match=r"top1 is 0\.7000 with the exported file and 0\.8000 with the model, on 100 .* falls by 0\.1000"):
        comparison(0.8, 0.7).check(None)
    with pytest.raises(UserError, match=r"more than 0\.0100; no file is written; pass a larger --tolerance or --no-compare"):
        comparison(0.8, 0.76).check(0.01)
    for tolerance in (None, 0.9):
        with pytest.raises(UserError, match="falls by nan"):
            comparison(0.8, float("nan")).check(tolerance)


def test_the_largest_difference_of_outputs_that_are_not_finite_is_nan() -> None:
    batch: Any = SimpleNamespace(example_mask_b=np.array([True, True, False]))
    recorder = _Recorder()
    for after, largest in (([2.0, 1.0, 9.0], 2.0), ([1.0, np.nan, 5.0], np.nan), ([0.0, 0.0, 0.0], np.nan)):
        for predict in recorder.compared(lambda _: {"logits": np.zeros(3)}, lambda _, given=after: {"logits": given}).values():
            predict(batch)
        np.testing.assert_equal(recorder.largest["logits"], largest)


def test_the_rows_of_a_file_have_a_name_of_their_own() -> None:
    assert rows_name(Path("a/model-int8.onnx")) == "model_int8_onnx"
    model: Any = exported.ExportedModel(Path("m.onnx"), written()[1], lambda images: {})
    source: Any = None
    assert named_after(Target("test", source), model).name == "test@m_onnx"
    assert named_after(Target("test@last", source), model).name == "test@last_m_onnx"


QUICK = ("ram", "recurrent", "sequence")  # which did not export with a batch of any size once


@pytest.mark.parametrize("form", [form if form in QUICK else pytest.param(form, marks=pytest.mark.slow) for form in forms()])
def test_a_model_is_traced_for_any_number_of_images(form: str) -> None:
    shapes = jax.eval_shape(random_model(form), any_batch())
    for name, value in shapes.items():
        assert str(value.shape[0]) == "b", name


@pytest.mark.slow
@pytest.mark.parametrize("form", forms())
def test_a_model_gives_what_jax_gives_from_one_file_of_stablehlo(form: str) -> None:
    function = random_model(form)
    form_ = declared("deployment.formats", "stablehlo", ModelFormat)
    run = form_.open(form_.write(function, any_batch()).content, written()[1])
    batch = images(64)
    expected = in_jax(function, batch)
    for count in (1, 3, 64):
        for key, value in run(batch[:count]).items():
            np.testing.assert_allclose(value, expected[key][:count], rtol=1e-4, atol=1e-4, err_msg=f"{key}, {count}")
