"""Runs that start from published weights: what they take, what stays frozen, and what a resumed run checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from imgloc.cli import main
from imgloc.config.saved import check_imports
from imgloc.devices import mesh
from imgloc.errors import UserError
from imgloc.inference.bundle import named
from imgloc.inference.load import find_bundle, load_model
from imgloc.runs import run_dir
from imgloc.training.warm_start import Donor, check_same_weights, warm_start
from tests import processes
from tests.pretrained.small_resnet import NAME, write_weights
from tests.refusals import assert_refused
from tests.training.test_resume import assert_same_bits

RECIPE = (
    "--config=configs/digits_lstm.py", "--config.model.name=resnet", "--config.model.locate=False", "--config.task=classify",
    "--config.losses.box_l1.weight=0", "--config.losses.giou.weight=0", "--config.train.batch_size=8", "--config.train.steps=4",
    "--config.train.eval_every=0", "--config.train.save_every=2", "--config.train.log_every=1", "--config.optim.ema=0.9",
    "--config.optim.weight_decay=0.1", "--config.optim.warmup_steps=0",
)  # fmt: skip
FROZEN = "--config.optim.frozen=('^stem','^stage[123]')"


def test_the_message_about_another_shape_names_the_setting() -> None:
    variables = {"params": {"classes": {"kernel": np.zeros((4, 3), np.float32)}}}
    donor = Donor({"params/classes/kernel": np.zeros((4, 5), np.float32)}, whole=False, setting="model.pretrained=resnet18")
    assert_refused(lambda: warm_start(variables, donor, ()), "model.pretrained=resnet18: parameter 'classes/kernel'", "(4, 3), got (4, 5)")


def variables(workdir: Path) -> dict[str, np.ndarray]:
    """The variables of the last model of a run, by path."""
    return {name: np.asarray(leaf) for name, leaf in named(load_model(find_bundle(workdir, "last"), mesh.make_mesh()).variables).items()}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A finished run of frozen weights, and its arguments."""
    folder = tmp_path_factory.mktemp("started")
    arguments = (*RECIPE, f"--config.model.pretrained={write_weights(folder / 'a.safetensors')}", FROZEN)
    processes.train_here(*arguments, "--config.optim.lr_scale=(('^stage4_', 0.5), ('classes', 2))", workdir=folder / "run")
    return folder, (*arguments, "--config.optim.lr_scale=(('^stage4_', 0.5), ('classes', 2))")


def test_frozen_variables_stay_those_of_the_file_and_others_are_trained(started: tuple[Path, tuple[str, ...]]) -> None:
    folder, _ = started
    tensors, trained = load_file(folder / "a.safetensors"), variables(folder / "run")
    for path, tensor, frozen in (
        ("params/stem_norm/scale", "bn1.weight", True), ("batch_stats/stem_norm/mean", "bn1.running_mean", True),
        ("batch_stats/stage3_block2/norm1/var", "layer3.1.bn1.running_var", True), ("params/classes/bias", "fc.bias", False),
        ("batch_stats/stage4_block1/norm1/mean", "layer4.0.bn1.running_mean", False),
        ("params/stage4_block1/norm1/bias", "layer4.0.bn1.bias", False),
    ):  # fmt: skip
        assert np.array_equal(trained[path], tensors[tensor]) is frozen, path
        if path.startswith("params"):
            np.testing.assert_allclose(trained[path], tensors[tensor], atol=0.1)
    np.testing.assert_array_equal(trained["params/stem/kernel"], tensors["conv1.weight"].transpose(2, 3, 1, 0))
    assert (trained["params/stem/kernel"] != 0).any()


def test_provenance_has_the_checksum_and_a_bundle_needs_no_weights(started: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    folder, _ = started
    facts = json.loads((folder / "run" / "provenance.json").read_text())["pretrained"]
    assert facts["weights"].startswith(f"{NAME}:")
    assert facts["file"] == "a.safetensors"
    assert len(facts["sha256"]) == 64
    (folder / "a.safetensors").rename(tmp_path / "moved")
    try:
        assert variables(folder / "run")
    finally:
        (tmp_path / "moved").rename(folder / "a.safetensors")


def test_a_run_in_two_parts_has_the_same_bits(started: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    from tests.several_devices import StopAt

    folder, arguments = started
    assert processes.train_here(*arguments, workdir=tmp_path / "run", stop=StopAt(2)) == "stopped"
    assert processes.train_here(*arguments, workdir=tmp_path / "run") == "finished"
    assert_same_bits(tmp_path / "run", folder / "run")


def test_another_file_is_refused_where_the_weights_are_read_again(started: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    folder, _ = started
    run, config = run_dir.open_run(str(folder / "run"))
    check_same_weights(run, config)
    original = (folder / "a.safetensors").read_bytes()
    write_weights(folder / "a.safetensors", change=0.1)
    with pytest.raises(UserError, match="has changed since the run"):
        check_same_weights(run, config)
    (folder / "a.safetensors").write_bytes(original)


def refused(capsys: pytest.CaptureFixture[str], workdir: Path, *arguments: str) -> str:
    """The line on standard error of a training that writes nothing."""
    assert main.main(["train", *RECIPE, *arguments, "--workdir", str(workdir)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert not workdir.exists()
    return err


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_weights(tmp_path / "a.safetensors")
    given = f"--config.model.pretrained={spec}"
    assert "model.width is 16" in refused(capsys, tmp_path / "run", given, "--config.model.width=16")
    assert "'^backbone/' matches no parameter" in refused(capsys, tmp_path / "run", given, "--config.optim.frozen=('^backbone/',)")
    tensors: dict[str, Any] = load_file(tmp_path / "a.safetensors")
    del tensors["layer1.0.conv1.weight"]
    from safetensors.numpy import save_file

    save_file(tensors, tmp_path / "a.safetensors")
    assert "1 missing: layer1.0.conv1.weight" in refused(capsys, tmp_path / "run", given)


def test_another_number_of_classes_starts_with_a_new_classifier(tmp_path: Path) -> None:
    spec = write_weights(tmp_path / "a.safetensors", classes=7)
    still = ("--config.optim.lr=0.0", "--config.optim.ema=0.0", "--config.train.steps=1")
    processes.train_here(*RECIPE, f"--config.model.pretrained={spec}", *still, workdir=tmp_path / "run")
    tensors, found = load_file(tmp_path / "a.safetensors"), variables(tmp_path / "run")
    np.testing.assert_array_equal(found["params/stage4_block2/norm2/scale"], tensors["layer4.1.bn2.weight"])
    assert found["params/classes/bias"].shape == (10,)
    assert not found["params/classes/bias"].any()


def test_a_saved_config_imports_no_weights_backbone_or_assignment_that_the_user_has_not_named() -> None:
    for values in (
        {"model": {"name": "resnet", "pretrained": "evil.weights:a.pth"}},
        {"model": {"name": "detector", "backbone": {"name": "evil.net"}}},
        {"losses": {"dense_class": {"name": "dense_class", "assignment": "evil.assign"}}},
    ):  # fmt: skip
        with pytest.raises(UserError, match=r"would import the module 'evil\."):
            check_imports(values, "config.json")
    check_imports({"model": {"name": "resnet", "pretrained": "resnet18:a.b/c.pth"}}, "config.json")
