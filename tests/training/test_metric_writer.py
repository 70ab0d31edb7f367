"""The journal keeps each step once, and the queue finds what is no number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir
from imgloc.training.metric_queue import MetricQueue, NonFiniteError
from imgloc.training.metric_writer import MetricWriter
from imgloc.training.progress import Progress


def test_opening_at_a_step_drops_what_was_written_past_it(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as journal:
        for step in (10, 20, 30):
            journal.add(step, "train", {"loss": 1 / step})
        journal.add(20, "validation", {"top1": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "ki')  # cut off by a kill
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 4
    with MetricWriter(RunDir(tmp_path), 20) as journal:
        assert journal.validation("top1") == [0.5]
        journal.add(30, "train", {"loss": 7.0})
    steps = [(record["step"], record["kind"]) for record in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [(10, "train"), (20, "train"), (20, "validation"), (30, "train")]
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["loss"] == 7.0
    assert len(list((tmp_path / "events").iterdir())) == 1


def test_values_that_are_no_number_are_written_as_null(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as journal:
        journal.add(1, "validation", {"top1": float("nan"), "mean_iou": 0.5})
        assert journal.validation("top1") == []
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "kind": "validation", "top1": None, "mean_iou": 0.5}


def test_only_one_process_writes(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0, write=False) as journal:
        journal.add(1, "validation", {"top1": 1.0})
        journal.flush()
        assert journal.validation("top1") == [1.0]
    assert list(tmp_path.iterdir()) == []


def test_the_queue_logs_every_nth_step_and_leaves_what_may_still_be_computed(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as journal, Progress(0, 30, 8) as progress:
        queue = MetricQueue(journal, progress, log_every=10)
        for step in range(1, 11):
            queue.add(step, {"loss": float(step), "lr": 0.5})
        queue.look(wait=False)
        assert journal.records == []
        for step in range(11, 21):
            queue.add(step, {"loss": float(step), "lr": 0.5})
        queue.look(wait=False)
        assert [record["step"] for record in journal.records] == [10]
        assert len(queue) == 10
        queue.look(wait=True)
        assert journal.records[-1] == {"step": 20, "kind": "train", "loss": 20.0, "lr": 0.5}
        assert len(queue) == 0


@pytest.mark.parametrize("bad", [1, 3, 4, 13, 20])
def test_the_queue_says_what_is_no_number_and_at_which_step_first(bad: int, tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as journal, Progress(0, 30, 8) as progress:
        queue = MetricQueue(journal, progress, log_every=10)
        for step in range(1, 21):
            queue.add(step, {"loss": float("inf") if step >= bad else 1.0, "grad_norm": float("nan") if step > bad else 1.0})
        with pytest.raises(NonFiniteError, match=f"loss is inf at step {bad}, ") as caught:
            queue.look(wait=True)
        assert caught.value.step == bad
        assert [record["step"] for record in journal.records] == ([10] if bad > 10 else [])


def test_the_queue_finds_the_step_within_a_call_of_several(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as journal, Progress(0, 30, 8) as progress:
        queue = MetricQueue(journal, progress, log_every=6)
        queue.add(4, {"loss": np.array([1.0, 2.0, 3.0, 4.0])}, 4)
        queue.add(6, {"loss": np.array([5.0, 6.0, np.nan, 0.0])}, 2)  # what lies past the count is no step
        queue.look(wait=True)
        assert journal.records == [{"step": 6, "kind": "train", "loss": 6.0}]
        queue.add(10, {"loss": np.array([7.0, 8.0, np.nan, np.nan])}, 4)
        with pytest.raises(NonFiniteError, match="loss is nan at step 9, "):
            queue.look(wait=True)


def test_progress_without_a_terminal_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(0, 3, 8, every=0.0) as progress:
        progress.loss(0.25)
        for step in (1, 2, 3):
            progress.advance(step)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(f"step {step}/3  loss 0.2500" in line and "images/s" in line and "s left" in line for step, line in enumerate(lines, 1))
