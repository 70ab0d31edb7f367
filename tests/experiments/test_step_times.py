"""Step times: milliseconds, parameters and operations of each config."""

from __future__ import annotations

import pytest

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.experiments import step_times


def test_a_step_is_timed_and_its_parameters_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_times, "SECONDS", 0.0)
    config = resolve(read_recipe("tests/sweeps/recipe.py"))
    found = step_times.step_times({"line": config}, rounds=1, operations=True)
    line = found["arms"]["line"]
    assert line["parameters"] == (16 * 16 + 1) * 6
    assert line["operations"] >= 2 * 16 * 16 * 6
    assert 0 < line["lowest"] <= line["ms"]
    assert {"commit", "machine", "jax", "of_cores"} <= set(found)
