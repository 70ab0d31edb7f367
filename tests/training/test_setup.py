"""Warm starts, early stopping, the best and the last model, and configs whose parts do not fit together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.cli import main
from imgloc.devices import mesh
from imgloc.errors import UserError
from imgloc.evaluation.target import after_training, open_target
from imgloc.inference.bundle import named, read_bundle
from imgloc.inference.load import find_bundle, load_model
from imgloc.runs import recorded_data, run_dir
from imgloc.training import step
from imgloc.training.warm_start import Donor, warm_start
from tests import processes

SHORT = ("--config.train.steps=1", "--config.train.eval_every=0", "--config.optim.lr=0.0", "--config.optim.ema=0.0")


def parameters(workdir: Path) -> dict[str, np.ndarray]:
    """The parameters of the last model of a run, by path."""
    variables = load_model(find_bundle(workdir, "last"), mesh.make_mesh()).variables
    return {name: np.asarray(leaf) for name, leaf in named(variables["params"]).items()}


def test_a_warm_start_takes_the_parameters_of_the_other_run_except_the_skipped_ones(tmp_path: Path, tiny_run: Path) -> None:
    warm = ("--config.seed=5", f"--config.train.init_from={tiny_run}", "--config.train.init_skip=^classes/")
    processes.train_here(*processes.TINY, *SHORT, *warm, workdir=tmp_path / "warm")
    mine, donor = parameters(tmp_path / "warm"), parameters(tiny_run)
    same = {name for name in mine if np.array_equal(mine[name], donor[name])}
    kernels = {name for name in mine if name.endswith("kernel")}
    assert kernels - same == {"classes/kernel"}

    run, config = run_dir.open_run(str(tmp_path / "warm"))
    earlier = recorded_data.read_groups(run_dir.RunDir(tiny_run))
    assert set(earlier.tolist()) <= set(recorded_data.read_groups(run).tolist())  # what the donor has seen is seen
    config.train.init_from = str(tmp_path / "moved")
    open_target(config, "test", run=run)  # the data of the donor is known without its folder
    config.eval.after_training = "test@last"
    scoring = after_training(config, run)
    assert scoring is not None
    assert (scoring[0].name, scoring[1]) == ("test@last", "last")
    with pytest.raises(UserError, match="not a run folder"):
        after_training(config)
    test_groups = open_target(config, "test", run=run).source.groups
    classes = recorded_data.read_data(run).classes
    recorded_data.write_data(run, classes, 1, set(), recorded_data.hash_groups(sorted(test_groups)[:3]))
    with pytest.raises(UserError, match=r"3 of the .* groups"):  # so what the donor has seen is refused
        open_target(config, "test", run=run)


def test_a_donor_of_other_shapes_is_refused_with_the_parameter_and_nothing_is_written(
    tmp_path: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config.model.features=9", f"--config.train.init_from={tiny_run}", "--workdir", str(tmp_path / "run")]
    assert main.main(["train", *processes.TINY, *arguments]) == 2
    err = capsys.readouterr().err
    assert "train.init_skip" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_check_of_a_training_step_is_its_only_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    traced = step.train_step

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return traced(*arguments, **options)

    monkeypatch.setattr(step, "train_step", counted)
    processes.train_here(*processes.TINY, "--config.train.steps=3", "--config.train.eval_every=0", workdir=tmp_path / "run")
    assert len(calls) == 1


def test_warm_start_names_the_missing_parameter() -> None:
    mine = {"params": {"a": jnp.zeros(2), "b": {"c": jnp.zeros(3)}}}
    donor = Donor({"params/a": jnp.ones(2)}, whole=True, setting="train.init_from=runs/other")
    with pytest.raises(UserError, match=r"train\.init_from=runs/other: parameter 'b/c' must have shape"):
        warm_start(mine, donor, ())
    for warm in (warm_start(mine, donor, ("^b/",)), warm_start(mine, donor._replace(whole=False), ())):
        assert float(warm["params"]["a"].sum()) == 2
        assert float(warm["params"]["b"]["c"].sum()) == 0


def test_training_stops_when_patience_runs_out(tmp_path: Path) -> None:
    stuck = ("--config.optim.lr=0.0", "--config.optim.weight_decay=0.0", "--config.train.patience=1", "--config.train.eval_every=5")
    processes.train_here(*processes.TINY, *stuck, "--config.optim.ema=0.0", workdir=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "finished.json").read_text()) == {"last_step": 10, "best_step": 10}  # the later of equal ones


def test_a_loss_that_is_not_finite_ends_training_with_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = ("--config.optim.name=sgd", "--config.optim.lr=1e30", "--config.optim.warmup_steps=0", "--config.optim.clip_norm=0.0")
    assert main.main(["train", *processes.TINY, *wild, "--workdir", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    last = err.splitlines()[-1]
    assert "at step" in last
    assert "lower optim.lr" in last
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "finished.json").exists()


def test_the_best_model_is_kept_beside_the_last_and_profile_writes_a_trace(tmp_path: Path) -> None:
    # A high learning rate makes the model worse after the first validation.
    harm = ("--config.optim.schedule=constant", "--config.optim.warmup_steps=0", "--config.optim.name=sgd", "--config.optim.lr=3.0")
    best = "--config.train.best_metric=top1"
    assert main.main(["train", *processes.TINY, *harm, best, "--workdir", str(tmp_path / "run"), "--profile"]) == 0
    scores = {}
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "validation":
            scores[record["step"]] = record["top1"]
    finished = json.loads((tmp_path / "run" / "finished.json").read_text())
    assert scores[finished["best_step"]] == max(scores.values())
    run = run_dir.RunDir(tmp_path / "run")
    assert [path.name for path in run.checkpoints.iterdir() if path.name.isdigit()] == ["60"]
    assert finished["best_step"] < 60
    assert (read_bundle(run.model).step, read_bundle(run.last_model).step) == (finished["best_step"], 60)
    assert (find_bundle(run.path, "best"), find_bundle(run.path, "last")) == (run.model, run.last_model)
    assert (run.model / "variables.safetensors").read_bytes() != (run.last_model / "variables.safetensors").read_bytes()
    assert [path for path in (tmp_path / "run" / "profile").rglob("*.xplane.pb") if path.stat().st_size > 1000]
