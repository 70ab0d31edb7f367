"""Repeated timing and its summary."""

from __future__ import annotations

import time

import pytest

from benchmarks import measure
from benchmarks.measure import Prepared


def test_every_call_is_timed_and_divided_by_its_steps() -> None:
    times = measure.repeat(lambda: time.sleep(0.02), steps=2, quick=True)
    assert len(times) == 3
    assert all(10.0 <= ms < 20.0 for ms in times)


def test_repeats_stop_after_their_time_or_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(measure.repeat(lambda: None)) == measure.MAX_REPEATS
    monkeypatch.setattr(measure, "SECONDS", 0.0)
    assert len(measure.repeat(lambda: None)) == measure.MIN_REPEATS


def test_an_accelerator_gets_several_calls_between_waits() -> None:
    calls_of: dict[str, list[int]] = {"cpu": [], "gpu": []}
    for platform, calls in calls_of.items():
        assert len(measure.measure(Prepared(calls.append, 1), platform=platform, quick=True)) == 3
    assert set(calls_of["cpu"]) == {1}
    assert set(calls_of["gpu"]) == {measure.STEPS_ON_ACCELERATOR}
    assert len(calls_of["cpu"]) == 5  # 2 to warm up


def test_processes_are_summarized_by_their_medians() -> None:
    assert measure.over_processes([3.0, 1.0, 2.0]) == {
        "median_ms": 2.0, "low_ms": 1.0, "high_ms": 3.0, "n": 3, "unsteady": "spread: 100%"
    }  # fmt: skip
    assert measure.over_processes([3.0, 1.0])["median_ms"] == 2.0
