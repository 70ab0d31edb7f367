"""Points trained in one process: the bits of `imgloc train`, one compilation, and errors of their own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgloc.config.recipes import read_recipe
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import points, together
from imgloc.sweeps.points import Point
from imgloc.training import population, setup, start
from tests.several_devices import StopAt
from tests.training.test_population import assert_same_bits

GO_ON: Any = SimpleNamespace(requested=False)
SHORT = ("--config.train.steps=20", "--config.train.eval_every=10")


def expanded(*yielded: dict[str, Any]) -> list[Point]:
    return points.expand(read_recipe("tests/sweeps/recipe.py"), yielded, SHORT)


def train(some: list[Point], folder: Path, stop: Any = GO_ON, **options: Any) -> tuple[dict[str, str], list[tuple[str, str]]]:
    reported: list[tuple[str, str]] = []
    runs = {point.name: RunDir(folder / point.name) for point in some}
    errors = together.train_points(some, runs, stop, lambda point, state, note: reported.append((point.name, state)), **options)
    return errors, reported


def test_points_share_a_program_and_have_the_bits_of_their_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[setup.Opened] = []
    monkeypatch.setattr(together, "Opened", lambda: shared.append(setup.Opened()) or shared[0])
    some = expanded({"seed": 0, "optim.lr": 0.01}, {"seed": 1, "optim.lr": 3e38}, {"seed": 1, "optim.lr": 0.02}, {"model.scale": 2.0})
    some.append(expanded({"seed": 0, "optim.lr": 0.01, "eval.after_training": "test"})[0])
    errors, reported = train(some, tmp_path)
    assert errors.keys() == {some[1].name}
    assert "not finite" in errors[some[1].name] or "inf" in errors[some[1].name] or "nan" in errors[some[1].name]
    assert [name for name, state in reported if state == "training"].count(some[1].name) == 1
    assert (some[4].name, "scoring") in reported
    assert "test" in RunDir(tmp_path / some[4].name).known_results()
    sizes = sorted(each.train_step.func._cache_size() for each in shared[0].setups.values())
    assert sizes == [1] * len(sizes)
    for point in some[:1] + some[2:3]:
        start.train(point.config, str(tmp_path / "alone" / point.name), stop=GO_ON, quiet=True)
        assert_same_bits(tmp_path / point.name, tmp_path / "alone" / point.name)


def test_a_stop_saves_the_running_point_and_begins_no_other(tmp_path: Path) -> None:
    some = expanded({"seed": 0}, {"seed": 1})
    train(some, tmp_path, StopAt(7))
    assert (tmp_path / some[0].name / "checkpoints").is_dir()
    assert not (tmp_path / some[1].name).exists()


def test_populations_are_formed_where_they_pay_and_resume_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = expanded(*({"seed": seed} for seed in range(3)), {"seed": 0, "model.scale": 2.0})
    sizes: list[int] = []
    real = population.train
    monkeypatch.setattr(population, "train", lambda members, size, **options: sizes.append(size) or real(members, size, **options))
    monkeypatch.setattr(population, "pays", lambda configs, opened: False)
    errors, _ = train(some[2:], tmp_path, largest_population=2)
    assert not errors
    assert not sizes
    monkeypatch.setattr(population, "pays", lambda configs, opened: True)
    train(some, tmp_path, StopAt(2 * 7), largest_population=2)
    monkeypatch.setattr(population, "pays", lambda configs, opened: pytest.fail("the runs have begun"))
    errors, _ = train(some, tmp_path, largest_population=2)
    assert not errors
    assert sizes == [2, 2]
    assert all(RunDir(tmp_path / point.name).finished.is_file() for point in some)


def test_the_trial_compares_both_ways() -> None:
    opened = setup.Opened()
    assert population.pays([point.config for point in expanded({"seed": 0}, {"seed": 1})], opened) in (True, False)
    assert len(opened.populations) == 1
