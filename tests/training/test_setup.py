"""Before the first step: warm starts, early stopping, and what does not fit together."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc import files
from imgloc.cli import main
from imgloc.config import schema as configs
from imgloc.devices import mesh
from imgloc.errors import UserError
from imgloc.evaluation.target import after_training, open_target
from imgloc.inference import predict
from imgloc.runs import run_dir
from imgloc.training import checkpoint
from tests import processes

SHORT = ("--config.train.steps=1", "--config.train.eval_every=0", "--config.optim.lr=0.0", "--config.optim.ema=0.0")


def parameters(workdir: Path) -> dict[str, np.ndarray]:
    run, config = run_dir.open_run(str(workdir))
    variables, _ = predict.load_variables(run, config, (64, 64, 1), 10, "last", mesh.make_mesh())
    leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def test_a_warm_start_begins_with_the_other_run_s_parameters_but_for_those_skipped(tmp_path: Path, tiny_run: Path) -> None:
    warm = ("--config.seed=5", f"--config.train.init_from={tiny_run}", "--config.train.init_skip=^classes/")
    processes.train_here(*processes.TINY, *SHORT, *warm, workdir=tmp_path / "warm")
    mine, donor = parameters(tmp_path / "warm"), parameters(tiny_run)
    same = {name for name in mine if np.array_equal(mine[name], donor[name])}
    kernels = {name for name in mine if name.endswith("kernel")}
    assert kernels - same == {"classes/kernel"}

    run, config = run_dir.open_run(str(tmp_path / "warm"))
    donors = run.read(run.data)["donors"]
    assert donors == [{"data": configs.to_json(config)["data"], "seed": 0}]
    config.train.init_from = str(tmp_path / "moved")
    open_target(config, "test", run=run)  # what the donor has seen is known without its folder
    config.eval.after_training = "test@last"
    found = after_training(config, run)
    assert found is not None
    assert (found[0].name, found[1]) == ("test@last", "last")
    with pytest.raises(UserError, match="not a run folder"):
        after_training(config)
    seen = [{**donors[0], "data": {**donors[0]["data"], "source": "rectangles"}}]
    files.write_json(run.data, {**run.read(run.data), "donors": seen})
    with pytest.raises(UserError, match="unknown source 'rectangles'"):  # so it is looked at
        open_target(config, "test", run=run)


def test_a_donor_of_other_shapes_is_told_by_parameter_and_nothing_is_written(
    tmp_path: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config.model.features=9", f"--config.train.init_from={tiny_run}", "--workdir", str(tmp_path / "run")]
    assert main.main(["train", *processes.TINY, *arguments]) == 2
    err = capsys.readouterr().err
    assert "train.init_skip" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_warm_start_names_what_is_missing() -> None:
    mine = {"a": jnp.zeros(2), "b": {"c": jnp.zeros(3)}}
    with pytest.raises(UserError, match="'b/c' has shape"):
        checkpoint.warm_start(mine, {"a": jnp.ones(2)}, ())
    warm = checkpoint.warm_start(mine, {"a": jnp.ones(2)}, ("^b/",))
    assert float(warm["a"].sum()) == 2
    assert float(warm["b"]["c"].sum()) == 0


def test_training_stops_when_patience_is_out(tmp_path: Path) -> None:
    stuck = ("--config.optim.lr=0.0", "--config.optim.weight_decay=0.0", "--config.train.patience=1", "--config.train.eval_every=5")
    processes.train_here(*processes.TINY, *stuck, "--config.optim.ema=0.0", workdir=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "finished.json").read_text()) == {"last_step": 10, "best_step": 10}  # of equals, the later


def test_a_loss_that_blows_up_ends_training_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = ("--config.optim.name=sgd", "--config.optim.lr=1e30", "--config.optim.warmup_steps=0", "--config.optim.clip_norm=0.0")
    assert main.main(["train", *processes.TINY, *wild, "--workdir", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    last = err.splitlines()[-1]
    assert "at step" in last
    assert "lower optim.lr" in last
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "finished.json").exists()


def test_the_best_checkpoint_is_kept_beside_the_last_and_profile_writes_a_trace(tmp_path: Path) -> None:
    # The first validation is the best where training only does harm afterwards.
    harm = ("--config.optim.schedule=constant", "--config.optim.warmup_steps=0", "--config.optim.name=sgd", "--config.optim.lr=3.0")
    best = "--config.train.best_metric=mean_iou"
    assert main.main(["train", *processes.TINY, *harm, best, "--workdir", str(tmp_path / "run"), "--profile"]) == 0
    scores = {}
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "validation":
            scores[record["step"]] = record["mean_iou"]
    finished = json.loads((tmp_path / "run" / "finished.json").read_text())
    assert scores[finished["best_step"]] == max(scores.values())
    kept = {int(p.name) for p in (tmp_path / "run" / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {finished["best_step"], 60}
    assert [path for path in (tmp_path / "run" / "profile").rglob("*.xplane.pb") if path.stat().st_size > 1000]
