"""The queue logs every n-th step and finds the first step that is not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgloc.runs.run_dir import RunDir
from imgloc.training.metric_queue import MetricQueue, NonFiniteError
from imgloc.training.metric_writer import MetricWriter
from imgloc.training.progress import Progress


def test_the_queue_logs_every_nth_step_and_leaves_steps_that_may_still_be_computed(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as writer, Progress(0, 30, 8) as progress:
        queue = MetricQueue(writer, progress, log_every=10)
        for step in range(1, 11):
            queue.add(step, {"loss": float(step), "lr": 0.5})
        queue.drain(wait=False)
        assert writer.records == []
        for step in range(11, 21):
            queue.add(step, {"loss": float(step), "lr": 0.5})
        queue.drain(wait=False)
        assert [record["step"] for record in writer.records] == [10]
        assert len(queue) == 10
        queue.drain(wait=True)
        assert writer.records[-1] == {"step": 20, "kind": "train", "loss": 20.0, "lr": 0.5}
        assert len(queue) == 0


@pytest.mark.parametrize("bad", [1, 3, 4, 13, 20])
def test_the_queue_names_the_metric_and_the_first_step_that_is_not_finite(bad: int, tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as writer, Progress(0, 30, 8) as progress:
        queue = MetricQueue(writer, progress, log_every=10)
        for step in range(1, 21):
            queue.add(step, {"loss": float("inf") if step >= bad else 1.0, "grad_norm": float("nan") if step > bad else 1.0})
        with pytest.raises(NonFiniteError, match=f"loss is inf at step {bad}, ") as caught:
            queue.drain(wait=True)
        assert caught.value.step == bad
        assert [record["step"] for record in writer.records] == ([10] if bad > 10 else [])


def test_the_queue_finds_the_step_within_a_call_of_several(tmp_path: Path) -> None:
    with MetricWriter(RunDir(tmp_path), 0) as writer, Progress(0, 30, 8) as progress:
        queue = MetricQueue(writer, progress, log_every=6)
        queue.add(4, {"loss": np.array([1.0, 2.0, 3.0, 4.0])}, 4)
        queue.add(6, {"loss": np.array([5.0, 6.0, np.nan, 0.0])}, 2)  # values past the count belong to no step
        queue.drain(wait=True)
        assert writer.records == [{"step": 6, "kind": "train", "loss": 6.0}]
        queue.add(10, {"loss": np.array([7.0, 8.0, np.nan, np.nan])}, 4)
        with pytest.raises(NonFiniteError, match="loss is nan at step 9, "):
            queue.drain(wait=True)
