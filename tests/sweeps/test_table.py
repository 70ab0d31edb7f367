"""The summary of a sweep, and its table of means over seeds."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import scipy.stats
from rich.console import Console

from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import table
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point

Pretend = Callable[..., None]


def printed(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=120), text


def test_means_over_seeds_have_t_intervals(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    for point, top1 in zip(some, (0.5, 0.9, 0.25, 0.5), strict=True):
        pretend(RunDir(tmp_path / point.name), point, top1=top1)
    summary = table.summary(SweepDir(tmp_path), some, "test", {})
    assert [(group["overrides"], group["seeds"]) for group in summary["groups"]] == [
        ({"optim.lr": 0.1}, [0, 1]),
        ({"optim.lr": 0.2}, [0, 1]),
    ]
    top1 = summary["groups"][0]["metrics"]["top1"]
    low, high = scipy.stats.t.interval(0.95, 1, loc=0.7, scale=scipy.stats.sem([0.5, 0.9]))
    assert (top1["mean"], top1["low"], top1["high"], top1["n"]) == pytest.approx((0.7, low, high, 2))
    assert summary["points"][1] == {
        "name": "lr=0.1,seed=1", "overrides": {"optim.lr": 0.1, "seed": 1}, "state": "finished", "run": "lr=0.1,seed=1",
        "metrics": {"top1": 0.9, "top1_loc_50": 0.9},
    }  # fmt: skip
    console, text = printed()
    console.print(table.seeds_table(summary))
    assert f"0.700 ± {high - 0.7:.3f}" in text.getvalue()
    assert json.loads(json.dumps(summary)) == summary


def test_failed_and_unfinished_points_are_in_the_summary(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    pretend(RunDir(tmp_path / some[1].name), some[1], top1=0.125)
    summary = table.summary(SweepDir(tmp_path), some, "test", {some[0].name: "out of memory"})
    assert [point["state"] for point in summary["points"]] == ["failed", "finished", "unfinished", "unfinished"]
    assert summary["points"][0]["error"] == "out of memory"
    assert summary["groups"][0]["metrics"]["top1"] == {"mean": 0.125, "low": None, "high": None, "n": 1}
    assert summary["groups"][1]["metrics"] == {}
    console, text = printed()
    console.print(table.seeds_table(summary))
    row = next(line for line in text.getvalue().splitlines() if "optim.lr=0.1" in line)
    assert row.split() == ["optim.lr=0.1", "1", "of", "2", "0.125", "0.125"]


def test_the_metric_of_the_best_checkpoint_has_a_column(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    pretend(RunDir(tmp_path / some[0].name), some[0], top1=0.5)
    summary = table.summary(SweepDir(tmp_path), some[:1], "test", {})
    summary["groups"][0] |= {"best_metric": "mine"}
    summary["groups"][0]["metrics"]["mine"] = {"mean": 3.5, "low": None, "high": None, "n": 1}
    columns = [str(column.header) for column in table.seeds_table(summary).columns]
    assert columns == ["config", "seeds", "top1", "top1_loc_50", "mine"]
