"""Compressed runs: what a teacher adds to a batch, and runs of `imgloc compress` that resume, evaluate and are small."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from imgloc.api.compressing import compressed_config, model_bytes
from imgloc.cli import main
from imgloc.inference.bundle import named, read_bundle
from imgloc.inference.load import open_model
from imgloc.nn.quantization import compressed_mask
from imgloc.training import start
from imgloc.training.distillation import mixed
from imgloc.types import Batch
from tests import processes
from tests.bundles import rewrite_header
from tests.refusals import assert_refused
from tests.training.test_resume import assert_same_bits

TINY = (
    "--config=configs/digits_cnn.py", "--config.model.name=localizer", "--config.model.stem=(4,16)", "--config.model.middle=16",
    "--config.model.deep=16", "--config.model.hidden=32", "--config.data.image_size=(32,32)", "--config.losses.first_l1.weight=0",
    "--config.losses.first_giou.weight=0", "--config.train.batch_size=16", "--config.train.steps=6", "--config.train.eval_every=0",
    "--config.train.save_every=3", "--config.train.log_every=3", "--config.optim.warmup_steps=0", "--config.optim.ema=0.9",
)  # fmt: skip
METHODS = ("gradual", "qat", "distill")
OVERRIDES = ("--config.compression.sparsity=0.9", "--config.compression.prune_every=2", "--config.train.eval_every=6")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("original") / "run"
    assert processes.train_here(*TINY, workdir=folder) == "finished"
    return folder


def compress(original: Path, folder: Path, *methods: str, stop: Any = None, overrides: tuple[str, ...] = OVERRIDES) -> str:
    config = compressed_config(str(original), methods, overrides)
    return start.train(config, str(folder), stop=stop or SimpleNamespace(requested=False), quiet=True)


@pytest.fixture(scope="module")
def small(original: Path) -> Path:
    """A run with all methods together."""
    folder = original.parent / "small"
    assert compress(original, folder, *METHODS) == "finished"
    return folder


def batch() -> Batch:
    boxes = np.random.default_rng(0).random((4, 2, 4)).astype(np.float32)
    mask = np.array([[True, True], [True, False], [False, False], [True, True]])
    labels = np.array([1, 2, -1, 0], np.int32)
    return Batch(np.zeros((4, 8, 8, 1), np.uint8), boxes, np.zeros((4, 2), np.int32), mask, labels, np.ones(4, bool), np.zeros((4, 4)))


def test_the_truth_is_mixed_with_the_teachers_answers() -> None:
    own, logits, box = batch(), np.log(np.full((4, 3), [0.2, 0.5, 0.3], np.float32)), np.full((4, 4), 0.5, np.float32)
    new = mixed(own, {"logits": logits, "box": box}, 0.25)
    expected = 0.75 * np.eye(3)[[1, 2, 0, 0]] + 0.25 * np.array([0.2, 0.5, 0.3])
    expected[2] = 0  # no class
    np.testing.assert_allclose(new.soft_label_bxk, expected, atol=1e-6)
    with_object = own.object_mask_bxn[:, 0]
    np.testing.assert_allclose(new.boxes_bxnx4[with_object, 0], 0.75 * own.boxes_bxnx4[with_object, 0] + 0.125, atol=1e-6)
    np.testing.assert_array_equal(new.boxes_bxnx4[~with_object], own.boxes_bxnx4[~with_object])
    np.testing.assert_array_equal(new.boxes_bxnx4[:, 1], own.boxes_bxnx4[:, 1])
    soft = own._replace(soft_label_bxk=np.full((4, 3), 1 / 3, np.float32))
    np.testing.assert_allclose(mixed(soft, {"logits": logits, "box": None}, 0.25).soft_label_bxk[0], 0.25 + np.array([0.05, 0.125, 0.075]))


def test_a_compressed_run_has_zeros_and_integers_in_few_bytes(original: Path, small: Path) -> None:
    variables, config = open_model(small).variables, read_bundle(small / "model").resolved
    assert (config.compression.teacher, config.train.init_from) == (str(original), str(original))
    chosen = named(compressed_mask(variables["params"], ()))
    values = named(variables["params"])
    for name in (name for name, is_chosen in chosen.items() if is_chosen):
        kernel = np.asarray(values[name])
        assert (kernel == 0).mean() >= 0.89, name
        scale = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1))) / 127
        steps = kernel / np.where(scale > 0, scale, 1)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3, err_msg=name)
    assert sum(chosen.values()) >= 5
    assert model_bytes(small) < 0.45 * model_bytes(original), "the header is most of this tiny file"


def test_it_resumes_to_the_same_bits(original: Path, small: Path, tmp_path: Path) -> None:
    class Stop:
        """Stops after three steps."""

        def __init__(self) -> None:
            self.asked = 0

        @property
        def requested(self) -> bool:
            self.asked += 1
            return self.asked > 3

    assert compress(original, tmp_path / "run", *METHODS, stop=Stop()) == "stopped"
    assert compress(original, tmp_path / "run", *METHODS) == "finished"
    assert_same_bits(tmp_path / "run", small)


def test_quantization_without_training_keeps_the_weights(original: Path, tmp_path: Path) -> None:
    assert compress(original, tmp_path / "run", "quantize", overrides=()) == "finished"
    before, after = (named(open_model(run).variables) for run in (original, tmp_path / "run"))
    for name, array in before.items():
        if name.startswith("params/"):
            np.testing.assert_allclose(after[name], array, atol=float(np.abs(array).max()) / 127, err_msg=name)
    assert any((np.asarray(after[name]) != np.asarray(array)).any() for name, array in before.items())


def test_a_smaller_model_learns_from_scratch_with_the_teacher(original: Path) -> None:
    config = compressed_config(str(original), ("distill",), ("--config.model.deep=8",))
    assert (config.train.init_from, config.model.deep, config.optim.lr) == ("", 8, 5e-3)
    warm = compressed_config(str(original), ("distill",), ())
    assert (warm.train.init_from, warm.optim.lr) == (str(original), pytest.approx(1e-3))


def test_the_command_starts_a_narrower_model_from_channels_of_the_wide_one_and_prints_its_size(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgloc.devices.runtime.prepare", lambda: None)
    command = ["compress", str(original), "--method", "structured", "--workdir", str(tmp_path / "narrow")]
    assert main.main(command) == 2
    assert "--method structured needs the widths that remain" in capsys.readouterr().err
    still = ("--config.train.steps=1", "--config.optim.lr=0.0", "--config.optim.weight_decay=0.0", "--config.optim.ema=0.0")
    assert main.main([*command, "--config.model.hidden=16", "--config.model.deep=12", *still]) == 0
    assert f"{model_bytes(original):,} bytes" in capsys.readouterr().out
    wide, narrow = (named(open_model(run).variables) for run in (original, tmp_path / "narrow"))
    kernels = [name for name, array in wide.items() if array.ndim >= 2 and array.shape != narrow[name].shape]
    assert len(kernels) >= 3
    for name in kernels:
        assert set(np.asarray(narrow[name]).ravel().tolist()) <= set(np.asarray(wide[name]).ravel().tolist()), name


def test_a_teacher_that_changes_or_does_not_fit_is_refused(original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(original, teacher)
    overrides = (*OVERRIDES, f"--config.compression.teacher={teacher}")
    stop = SimpleNamespace(requested=True)
    assert compress(original, tmp_path / "run", "distill", stop=stop, overrides=overrides) == "stopped"
    rewrite_header(teacher / "model", lambda header: header.update(calibration={"a": 0.5}))
    assert_refused(lambda: compress(original, tmp_path / "run", "distill", overrides=overrides), "has changed since the run")
    size = "--config.data.image_size=(16,16)"
    shapes = "other images ((32, 32, 1), and this config (16, 16, 1))"
    assert_refused(lambda: compress(original, tmp_path / "other", "distill", overrides=(size,)), shapes)


def test_mistakes_are_one_line(original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgloc.devices.runtime.prepare", lambda: None)
    for method, reason in (("prune", "unknown method 'prune'"), ("quantize,qat", "exclude each other"), (",", "--method is empty")):
        assert main.main(["compress", str(original), "--method", method, "--workdir", str(tmp_path / "run")]) == 2
        assert reason in capsys.readouterr().err
    for override, reason in (
        ("compression.sparsity=1.0", "at least 0 and below 1"), ("compression.prune_during=(0.5,0.2)", "two shares"),
        ("compression.calibration=least", "unknown calibration"), ("compression.exclude=('(',)", "is not a regular expression"),
    ):  # fmt: skip
        arguments = ["--method", "gradual", "--workdir", str(tmp_path / "run"), f"--config.{override}"]
        assert main.main(["compress", str(original), *arguments]) == 2
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert jax.devices()
