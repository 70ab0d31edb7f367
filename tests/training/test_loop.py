"""The ends of compiled calls, and runs in calls of several steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imgloc.config import schema
from imgloc.training import loop
from tests import processes
from tests.several_devices import StopAt
from tests.training.test_resume import assert_same_bits

CALLS_OF_4 = (*processes.TINY, "--config.train.steps_per_call=4")


@pytest.mark.parametrize(
    ("first", "per_call", "expected"),
    [
        (0, 1, list(range(1, 31))),
        (0, 4, [4, 8, 10, 12, 15, 19, 20, 24, 28, 30]),
        (9, 4, [10, 12, 15, 19, 20, 24, 28, 30]),
        (0, 100, [10, 12, 15, 20, 24, 30]),
        (30, 4, []),
    ],
)
def test_calls_end_where_something_is_due(first: int, per_call: int, expected: list[int]) -> None:
    training = schema.base().train
    training.update({"steps": 30, "log_every": 10, "save_every": 15, "eval_every": 12, "steps_per_call": per_call})
    ends = list(loop.call_ends(first, training))
    assert ends == expected
    assert np.all(np.diff([first, *ends]) <= per_call)
    for due in (10, 12, 15):
        assert set(range(due, 31, due)) - set(range(first + 1)) <= set(ends)


def test_without_evaluation_calls_end_for_logging_and_saving_alone() -> None:
    training = schema.base().train
    training.update({"steps": 20, "log_every": 10, "save_every": 20, "eval_every": 0, "steps_per_call": 8})
    assert list(loop.call_ends(0, training)) == [8, 10, 18, 20]


def test_calls_of_several_steps_log_the_same_steps_and_resume_to_the_same_bits(tmp_path: Path, tiny_run: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    processes.train_here(*CALLS_OF_4, workdir=whole)
    ours, theirs = ([json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (whole, tiny_run))
    assert [(r["step"], r["kind"], *r) for r in ours] == [(r["step"], r["kind"], *r) for r in theirs]
    # Another program rounds differently, and over 60 steps the difference grows.
    np.testing.assert_allclose([r["loss"] for r in ours[:2]], [r["loss"] for r in theirs[:2]], rtol=1e-4)

    assert processes.train_here(*CALLS_OF_4, workdir=stopped, stop=StopAt(5)) == "stopped"
    assert int(json.loads((stopped / "provenance.json").read_text())["sessions"][-1]["to_step"]) == 14  # calls end at 4, 5, 9, 10 and 14
    processes.train_here(*CALLS_OF_4, workdir=stopped)
    assert_same_bits(stopped, whole)
