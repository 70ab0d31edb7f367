"""Points of the small recipe, and run folders as training and evaluation write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from imgloc import files
from imgloc.config import schema as configs
from imgloc.config.recipes import read_recipe
from imgloc.runs.prediction_table import write_rows
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import points
from imgloc.sweeps.points import Point

RECIPE = "tests/sweeps/recipe.py"


@pytest.fixture
def some() -> list[Point]:
    """Two learning rates with two seeds each."""
    yielded = [{"optim.lr": rate, "seed": seed} for rate in (0.1, 0.2) for seed in (0, 1)]
    return points.expand(read_recipe(RECIPE), yielded)


@pytest.fixture
def pretend() -> Callable[..., None]:
    """Write the files of a run folder after training, and after evaluation with a value for top1."""

    def write(run: RunDir, point: Point, *, trained: bool = True, top1: float | None = None, split: str = "test", step: int = 200) -> None:
        files.write_json(run.provenance, {"config": point.identity})
        files.write_json(run.config, configs.to_json(point.config))
        if trained:
            files.write_json(run.finished, {"last_step": 200, "best_step": 200})
        if top1 is not None:
            row: dict[str, Any] = {"id": "a"}
            write_rows(run.rows(split), [row], {"config": point.identity, "checkpoint": "best", "step": step})
            results = {name: {"mean": top1, "low": 0.0, "high": 1.0, "n": 1} for name in ("top1", "top1_loc_50", "top1/class/small")}
            files.write_json(run.results, {split: results})

    return write
