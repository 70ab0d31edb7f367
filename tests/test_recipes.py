"""Every recipe in configs/ fits together and takes its first steps, or fits its first candidate."""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from imgloc.config.overrides import flat
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.training import start
from tests import processes
from tests.config.test_build import flags_for_data

RECIPES = sorted(path.name for path in (processes.ROOT / "configs").glob("*.py"))
TRAINED_ELSEWHERE = {"digits_lstm.py", "row_lstm_mnist.py", "three_layer_cnn_imagenet.py"}  # as processes.TINY, by test_three_layer_cnn
SHORT = (
    "--config.train.steps=2", "--config.train.eval_every=0", "--config.train.batch_size=8", "--config.data.prefetch=0",
    "--config.eval.after_training=",
)  # fmt: skip


@functools.cache
def trained_here() -> set[str]:
    """The first recipe of each model and task: others would compile the same smallest model again."""
    first: dict[tuple[str, str], str] = {}
    for recipe in RECIPES:
        given = read(recipe)
        first.setdefault((given.model.name, given.task), recipe)
    return set(first.values()) - TRAINED_ELSEWHERE


def read(recipe: str) -> ConfigDict:
    return read_recipe(str(processes.ROOT / "configs" / recipe))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_fits_together_and_takes_two_steps(recipe: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As written, a step and an evaluation fit by their shapes; compiled is the smallest model of its kind."""
    given = read(recipe)
    data = flags_for_data(Path(recipe), request)
    start.check(resolve(given, [*SHORT, *data]))
    if recipe not in trained_here():
        return
    module = importlib.import_module(f"imgloc.models.{given.model.name}")
    tiny, steps = module.TINY, 1 if hasattr(module, "FIT") else 2
    small = (f"--config.model.{field}={value}" for field, value in flat(tiny).items())
    assert processes.train_here(f"--config=configs/{recipe}", *SHORT, *data, *small, workdir=tmp_path / "run") == "finished"
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["last_step"] == steps
