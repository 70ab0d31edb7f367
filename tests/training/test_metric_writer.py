"""The log of a run contains each step once."""

from __future__ import annotations

import json
from pathlib import Path

from imgloc.evaluation.scoring import metric_of
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir
from imgloc.training.best_model import best_step
from imgloc.training.metric_writer import MetricWriter
from tests.refusals import assert_refused


def validation_values(writer: MetricWriter, metric: str) -> list[float | None]:
    return [record.get(metric) for record in writer.records if record["kind"] == "validation"]


def test_opening_at_a_step_removes_the_records_of_later_steps(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as writer:
        for step in (10, 20, 30):
            writer.add(step, "train", {"loss": 1 / step})
        writer.add(20, "validation", {"top1": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "ki')  # a kill during the write
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 4
    with MetricWriter(RunDir(tmp_path), 20) as writer:
        assert validation_values(writer, "top1") == [0.5]
        writer.add(30, "train", {"loss": 7.0})
    steps = [(record["step"], record["kind"]) for record in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [(10, "train"), (20, "train"), (20, "validation"), (30, "train")]
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["loss"] == 7.0
    assert len(list((tmp_path / "events").iterdir())) == 1


def test_values_that_are_not_finite_are_written_as_null(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as writer:
        writer.add(1, "validation", {"top1": float("nan"), "mean_iou": 0.5})
        assert validation_values(writer, "top1") == [None]
        assert best_step(writer.records, metric_of("top1")) is None
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "kind": "validation", "top1": None, "mean_iou": 0.5}


def test_only_one_process_writes(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0, write=False) as writer:
        writer.add(1, "validation", {"top1": 1.0})
        writer.flush()
        assert validation_values(writer, "top1") == [1.0]
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_lacks_a_record_before_the_checkpoint_is_refused(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    intervals = {"train": 5, "validation": 10}
    with MetricWriter(run, 0, intervals=intervals) as writer:
        for step in (5, 10, 15, 20):
            writer.add(step, "train", {"loss": 1.0})
            if step % 10 == 0:
                writer.add(step, "validation", {"top1": 0.5})
    with MetricWriter(run, 20, intervals=intervals) as writer:
        assert len(writer.records) == 6
    whole = run.metrics.read_text().splitlines(keepends=True)
    for number in range(6):
        run.metrics.write_text("".join(whole[:number] + whole[number + 1 :]))
        assert_refused(lambda: MetricWriter(run, 20, intervals=intervals), "metrics.jsonl", "lacks the", "checkpoint is of step 20")
    run.metrics.unlink()
    assert_refused(lambda: MetricWriter(run, 20, intervals=intervals), "lacks the train record of step 5")
