"""Loggers get every record, continue the logged run after a resume, and cannot end a training. With `-m slow`: the real services."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgloc import files
from imgloc.config import registry, schema
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir
from imgloc.training import run_loggers
from imgloc.training.metric_writer import MetricWriter
from tests.refusals import assert_refused
from tests.training import own_logger

OWN = "tests.training.own_logger"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run folder with a config."""
    run = RunDir(tmp_path / "sweep" / "point")
    files.write_json(run.config, {"seed": 3, "optim": {"lr": 0.01}, "data": {"image_size": [8, 8]}, "devices": {"data": -1}})
    return run


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_logger, "LOG", [])
    monkeypatch.setattr(own_logger, "FAILS", set())


def log_steps(run: RunDir, first: int, steps: tuple[int, ...], loggers: tuple[str, ...]) -> None:
    with MetricWriter(run, first, loggers=loggers) as writer:
        for step in steps:
            writer.add(step, "train", {"loss": 1 / step, "loss/giou": float("nan") if step == 20 else 2.0})
        writer.add(steps[-1], "validation", {"top1": 0.5})
        writer.flush()


def test_a_resumed_run_continues_under_its_identity_with_the_records_up_to_the_checkpoint(run: RunDir) -> None:
    log_steps(run, 0, (10, 20, 30), (OWN,))
    log_steps(run, 20, (30, 40), (OWN,))
    identity = files.read_json(run.loggers)["identity"]
    first = [("open", identity), *(("add", step) for step in (10, 20, 30, 30)), ("flush", None), ("close", None)]
    second = [("open", identity), *(("add", step) for step in (10, 20, 30, 40, 40)), ("flush", None), ("close", None)]
    assert first + second == own_logger.LOG
    assert len(identity) == 32


@pytest.mark.parametrize("method", ["open", "add", "flush", "close"])
def test_a_logger_that_fails_is_reported_once_and_does_not_end_the_run(
    run: RunDir, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own_logger.FAILS.add(method)
    log_steps(run, 0, (10, 20), (OWN,))
    assert [record["step"] for record in read_metrics(run.metrics)] == [10, 20, 20]
    assert [name for name, _ in own_logger.LOG].count(method) == 1
    printed = capsys.readouterr().err.splitlines()
    assert printed == [f"logger '{OWN}' fails, and the run goes on without it: RuntimeError: no {method}"]


def test_a_run_without_loggers_stores_no_identity(run: RunDir) -> None:
    log_steps(run, 0, (10,), ())
    assert not run.loggers.exists()


def test_loggers_that_do_not_exist_or_are_not_installed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_refused(lambda: run_loggers.check(("wandbb",)), "unknown logger 'wandbb'", "did you mean 'wandb'")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in registry.names("training.loggers"):
        assert_refused(lambda name=name: run_loggers.check((name,)), f"pip install 'imgloc[{name}]'")


def test_loggers_are_no_part_of_the_identity_of_a_run() -> None:
    config = schema.base()
    before = schema.fingerprint(config)
    config.loggers = ("wandb",)
    assert schema.fingerprint(config) == before
    config.seed = 1
    assert schema.fingerprint(config) != before


def in_a_process(code: str, folder: Path, **environment: str) -> str:
    """What a Python program prints. Services keep threads and processes, which the process of the tests should not have."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=300, env={**os.environ, **environment},
        check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "fails" not in done.stderr, done.stderr
    return done.stdout


SESSION = """
import sys
from pathlib import Path
from imgloc.runs.run_dir import RunDir
from tests.training.test_run_loggers import log_steps
log_steps(RunDir(Path(sys.argv[1])), {first}, {steps}, ("{name}",))
"""
EXPECTED = [("train/loss", step, pytest.approx(1 / step)) for step in (10, 20, 30, 40)] + [("validation/top1", 30, 0.5)]


def two_sessions(run: RunDir, name: str, **environment: str) -> None:
    """A session that ends after step 30, and one from the checkpoint of step 20."""
    pytest.importorskip(name, reason=f"the package {name} is not installed")
    in_a_process(SESSION.format(first=0, steps=(10, 20, 30), name=name), run.path, **environment)
    in_a_process(SESSION.format(first=20, steps=(30, 40), name=name), run.path, **environment)


@pytest.mark.slow
def test_mlflow_has_each_step_of_a_resumed_run_once_in_its_file_store(run: RunDir, tmp_path: Path) -> None:
    store = {"MLFLOW_TRACKING_URI": f"file://{tmp_path}/store", "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_EXPERIMENT_NAME": "digits"}
    two_sessions(run, "mlflow", **store)
    read = """
import json, mlflow
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("digits")
runs = client.search_runs([experiment.experiment_id])
assert len(runs) == 1
run = runs[0]
assert run.data.params["optim.lr"] == "0.01"
assert run.info.status == "FINISHED" and run.info.run_name == "sweep/point"
print(json.dumps([(key, m.step, m.value) for key in run.data.metrics for m in client.get_metric_history(run.info.run_id, key)]))
"""
    logged = [tuple(entry) for entry in json.loads(in_a_process(read, run.path, **store).splitlines()[-1])]
    parts = [("train/loss.giou", step, 2.0) for step in (10, 30, 40)]
    assert sorted(logged) == sorted([*EXPECTED, ("validation/top1", 40, 0.5), *parts])


@pytest.mark.slow
def test_wandb_offline_keeps_one_run_whose_last_session_is_complete(run: RunDir) -> None:
    two_sessions(run, "wandb", WANDB_MODE="offline")
    identity = files.read_json(run.loggers)["identity"]
    sessions = sorted((run.path.parent / "wandb").glob(f"offline-run-*-{identity}/*.wandb"), key=lambda path: path.stat().st_mtime)
    assert len(sessions) == 2
    assert not [path for path in run.path.rglob("*") if path.is_symlink()]
    read = """
import json, struct, sys
from wandb.proto import wandb_internal_pb2
content, place, whole, found, rows = open(sys.argv[1], "rb").read(), 7, b"", [], []
while place + 7 <= len(content):  # LevelDB's log: chunks in blocks of 32 KiB, after a header of 7 bytes
    if 32768 - place % 32768 < 7:
        place += 32768 - place % 32768
        continue
    _, length, kind = struct.unpack("<IHB", content[place : place + 7])
    whole += content[place + 7 : place + 7 + length]
    place += 7 + length
    if kind in (1, 4):
        found, whole = [*found, whole], b""
for data in found:
    record = wandb_internal_pb2.Record()
    record.ParseFromString(data)
    if record.WhichOneof("record_type") == "history":
        rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
print(json.dumps([(key, row["_step"], value) for row in rows for key, value in row.items() if not key.startswith("_")]))
"""
    logged = [tuple(entry) for entry in json.loads(in_a_process(read, sessions[-1]).splitlines()[-1])]
    assert sorted(entry for entry in logged if "giou" not in entry[0]) == sorted([*EXPECTED[:4], ("validation/top1", 40, 0.5)])


@pytest.mark.slow
def test_a_killed_training_goes_on_in_the_same_mlflow_run(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the package mlflow is not installed")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"file://{tmp_path}/store", "MLFLOW_ALLOW_FILE_STORE": "true"}
    workdir = tmp_path / "run"
    command = [sys.executable, "-m", "imgloc", "train", "--config", "tests/sweeps/recipe.py", "--workdir", str(workdir),
               "--config.loggers=('mlflow',)"]  # fmt: skip
    process = subprocess.Popen(command, env=environment)
    limit = time.monotonic() + 300
    while not list(workdir.glob("checkpoints/50*")) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command, env=environment, check=True)
    found = list((tmp_path / "store").glob("*/*/metrics/train/loss"))
    assert len(found) == 1
    steps = [int(line.split()[2]) for line in found[0].read_text().splitlines()]
    assert sorted(steps) == list(range(10, 201, 10))


@pytest.mark.slow
def test_trackio_has_each_step_of_a_resumed_run_once(run: RunDir, tmp_path: Path) -> None:
    two_sessions(run, "trackio", TRACKIO_DIR=str(tmp_path / "trackio"))
    read = """
import json, trackio
from trackio.sqlite_storage import SQLiteStorage
runs = list(trackio.Api().runs("imgloc"))
assert len(runs) == 1 and runs[0].name.startswith("sweep/point ")
logs = SQLiteStorage.get_logs("imgloc", runs[0].name)
print(json.dumps([(key, row["step"], row[key]) for row in logs for key in row if "/" in key and "giou" not in key]))
"""
    logged = [tuple(entry) for entry in json.loads(in_a_process(read, run.path, TRACKIO_DIR=str(tmp_path / "trackio")).splitlines()[-1])]
    assert sorted(logged) == sorted([*EXPECTED, ("validation/top1", 40, 0.5)])
