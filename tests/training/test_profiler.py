"""The profiler records the steps that it names and nothing else. `imgloc train --profile` is tested in test_setup.py."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import pytest

from imgloc.training.profiler import PROFILED_STEPS, Profiler


@pytest.mark.parametrize(("first", "count", "expected"), [(1, 25, [10, 20]), (1, 15, [10, 15]), (1, 5, [])])
def test_the_trace_starts_and_stops_once(
    first: int, count: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends within the profiled steps stops the trace at its end."""
    events, number = [], 0
    monkeypatch.setattr("jax.profiler.start_trace", lambda folder: events.append((number, folder)))
    monkeypatch.setattr("jax.profiler.stop_trace", lambda: events.append((number, None)))
    assert PROFILED_STEPS == (10, 20)
    with Profiler(tmp_path / "profile") as profiler:
        for number in range(first, count + 1):
            profiler.before_step(number, jnp.zeros(1))
    assert events == [(step, folder) for step, folder in zip(expected, (str(tmp_path / "profile"), None), strict=False)]


def test_without_a_folder_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jax.profiler.start_trace", lambda folder: pytest.fail("a trace was started"))
    with Profiler(None) as profiler:
        for number in range(30):
            profiler.before_step(number, jnp.zeros(1))
