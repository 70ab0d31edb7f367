"""Turns, rows and ratios from results of a fake worker, and one real process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks import rounds, works
from benchmarks.rounds import Side
from imgloc.errors import UserError

TIMES = {"imgloc": [10.0, 13.0, 11.0], "linen": [26.0, 20.0, 22.0], "torch_eager": [5.5, 5.0, 6.0]}
SIDES = [Side("imgloc", "box"), Side("linen", "box"), Side("torch_eager", "box"), Side("torch_compiled", "box")]


class Worker:
    """Returns the TIMES of each implementation one after another; torch_compiled fails."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []

    def __call__(self, spec: Mapping[str, Any], setting: str) -> dict[str, Any]:
        name = spec["implementation"]
        assert spec["setting"] == setting
        number = sum(call == (spec["work"], name, setting) for call in self.calls)
        self.calls.append((spec["work"], name, setting))
        if name == "torch_compiled":
            return {"reason": "InvalidCxxCompiler: no C++ compiler"}
        return {"median_ms": TIMES[name][number], "repeats": 7, "parameters": 12, "peak_mib": 100}


def rows_of(worker: Worker, sides: list[Side] = SIDES, processes: int = 3) -> list[dict[str, Any]]:
    lines: list[str] = []
    rows = rounds.time_in_turns(
        "step", [works.LSTM, works.DIGITS], sides, platform="cpu", processes=processes, quick=True, say=lines.append, worker=worker
    )
    assert len([line for line in lines if "process " in line]) == len(worker.calls)
    return rows


def test_processes_take_turns_and_a_failing_side_is_not_run_again() -> None:
    worker = Worker()
    rows_of(worker)
    names = [name for work, name, _ in worker.calls if work == "lstm_28"]
    turn = ["imgloc", "linen", "torch_eager"]
    assert names == [*turn, "torch_compiled", *turn, *turn]


def test_a_row_has_the_median_over_processes_the_range_and_the_ratio() -> None:
    ours, linen, eager, compiled = rows_of(Worker())[:4]
    expected = {"work": "lstm_28", "implementation": "linen", "setting": "box", "median_ms": 22.0, "low_ms": 20.0, "high_ms": 26.0}
    assert {key: linen[key] for key in expected} == expected
    assert (ours["ratio"], linen["ratio"], eager["ratio"]) == (1.0, 0.5, 2.0)
    assert (linen["n"], linen["repeats"], linen["parameters"], linen["batch"]) == (3, [7, 7, 7], 12, 64)
    assert compiled["reason"].startswith("InvalidCxxCompiler")
    assert compiled["median_ms"] is compiled["ratio"] is None
    assert compiled["n"] == 0
    assert json.loads(json.dumps([ours, compiled], allow_nan=False)) == [ours, compiled]


def test_ratios_are_within_a_setting_and_none_without_imgloc() -> None:
    rows = [
        {"implementation": "imgloc", "setting": "box", "median_ms": 2.0},
        {"implementation": "linen", "setting": "box", "median_ms": 4.0},
        {"implementation": "imgloc", "setting": "tuned", "median_ms": 3.0},
        {"implementation": "linen", "setting": "tuned", "median_ms": 4.0},
    ]
    assert [row["ratio"] for row in rounds.with_ratios(rows)] == [1.0, 0.5, 1.0, 0.75]
    alone = rows_of(Worker(), [Side("linen", "box")])
    assert [row["ratio"] for row in alone] == [None, None]


@pytest.mark.parametrize(("shares", "last", "expected"), [([0.1], 11.0, ""), ([0.1, 0.6], 11.0, "busy: 60%"), ([0.1], 15.0, "spread: 45%")])
def test_a_busy_machine_and_times_that_differ_give_no_ratio(shares: list[float], last: float, expected: str) -> None:
    times = {"imgloc": iter([10.0, 11.0, last]), "linen": iter([22.0] * 3)}

    def worker(spec: Mapping[str, Any], setting: str) -> dict[str, Any]:
        ms = next(times[spec["implementation"]])
        other = shares if spec["implementation"] == "imgloc" else [0.0]
        return {"median_ms": ms, "repeats": 1, "parameters": 1, "peak_mib": 1, "other_shares": other}

    ours, linen = rounds.time_in_turns(
        "step", [works.LSTM], SIDES[:2], platform="cpu", processes=3, quick=True, say=lambda line: None, worker=worker
    )
    assert ours["unsteady"] == expected
    assert linen["ratio"] == (None if expected else 0.5)


def test_implementations_that_are_the_same_are_timed_once() -> None:
    sides = [Side("imgloc", "box"), Side("torch_channels_last", "box"), Side("keras_inner", "box")]
    chosen = [works.LSTM, works.DIGITS, works.find_work("infer", "digits_cnn_64_b8")]
    rows = rounds.time_in_turns(
        "step", chosen, sides, platform="cpu", processes=1, quick=True, say=lambda line: None,
        worker=lambda spec, setting: {"median_ms": 1.0, "repeats": 1, "parameters": 1, "peak_mib": 100},
    )  # fmt: skip
    assert [(row["work"], row["implementation"]) for row in rows] == [
        ("lstm_28", "imgloc"), ("lstm_28", "keras_inner"),
        ("digits_cnn_64", "imgloc"), ("digits_cnn_64", "torch_channels_last"), ("digits_cnn_64", "keras_inner"),
        ("digits_cnn_64_b8", "imgloc"), ("digits_cnn_64_b8", "torch_channels_last"),
    ]  # fmt: skip


def test_a_side_without_the_cell_has_a_row_with_the_reason_and_no_process() -> None:
    worker = Worker()
    chosen = [works.find_work("cells", "lru_rows")]
    ours, linen = rounds.time_in_turns(
        "cells", chosen, SIDES[:2], platform="cpu", processes=2, quick=True, say=lambda line: None, worker=worker
    )  # fmt: skip
    assert {name for _, name, _ in worker.calls} == {"imgloc"}
    assert (ours["median_ms"], ours["ratio"]) == (11.5, 1.0)
    assert (linen["median_ms"], linen["ratio"], linen["reason"]) == (None, None, "has no such cell")


def test_the_floor_is_the_arithmetic_at_the_measured_rate() -> None:
    rows = [{"work": "a", "median_ms": 40.0}, {"work": "a", "median_ms": None}, {"work": "b", "median_ms": 1.0}]
    floors = rounds.with_floor(rows, {"operations": {"a": 2e9, "b": None}, "rate": 2e11})
    assert floors[0] == {"work": "a", "median_ms": 40.0, "gflop": 2.0, "floor_ms": 10.0, "share_of_peak": 0.25, "peak_gflops": 200.0}
    assert floors[1]["floor_ms"] == 10.0
    assert floors[1]["share_of_peak"] is None
    assert floors[2]["gflop"] is floors[2]["floor_ms"] is floors[2]["share_of_peak"] is None


def test_a_row_describes_where_it_was_measured() -> None:
    where = rounds.about({"device": "cpu", "platform": "cpu"})
    assert {"device", "platform", "machine", "threads", "python", "versions", "commit"} <= set(where)
    assert {"imgloc", "jax", "jaxlib", "flax"} <= set(where["versions"])


def test_implementations_without_their_package_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds.importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    present, missing = rounds.installed(list(works.IMPLEMENTATIONS))
    assert present == ["imgloc", "linen", "keras", "keras_inner"]
    assert missing == ["torch_eager", "torch_channels_last", "torch_compiled"]


def test_feeding_rows_compare_batches_with_steps() -> None:
    times = iter([18.0, 20.0, 22.0])

    def worker(spec: Mapping[str, Any], setting: str) -> dict[str, Any]:
        assert (spec["task"], setting) == ("input", "box")
        ms = next(times)
        step = {"images": 64, "against": "lstm_28", "against_ms": 40.0}
        return {"batch": {"median_ms": ms, **step}, "fed": {"median_ms": 50.0, **step, "waiting_share": ms / 100},
                "jpeg": {"median_ms": 8.0, "images": 32, "against": "three_layer_cnn_224", "against_ms": None}}  # fmt: skip

    batch, fed, jpeg = rounds.feeding("cpu", 3, quick=True, say=lambda line: None, worker=worker)
    assert (batch["median_ms"], batch["low_ms"], batch["high_ms"], batch["n"], batch["ratio"]) == (20.0, 18.0, 22.0, 3, 0.5)
    assert (batch["images_per_second"], batch["needed_images_per_second"]) == (3200.0, 1600.0)
    assert "waiting_share" not in batch
    assert fed["waiting_share"] == 0.2
    assert (jpeg["images_per_second"], jpeg["ratio"], jpeg["needed_images_per_second"]) == (4000.0, None, None)
    with pytest.raises(UserError, match="cannot be timed here: no data"):
        rounds.feeding("cpu", 1, quick=True, say=lambda line: None, worker=lambda spec, setting: {"reason": "no data"})


def test_a_machine_without_jax_is_reported() -> None:
    with pytest.raises(UserError, match="JAX does not run here: no backend"):
        rounds.describe_machine("step", [], quick=True, worker=lambda spec, setting: {"reason": "no backend"})


def test_a_failing_process_returns_the_reason() -> None:
    result = rounds.run_worker({"task": "time", "group": "step", "work": "nothing"}, "box")
    assert list(result) == ["reason"]
    assert "unknown work 'nothing'" in result["reason"]


def test_a_process_that_dies_returns_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds.sys, "executable", "false")
    assert rounds.run_worker({}, "box") == {"reason": "exit code 1: no message"}
