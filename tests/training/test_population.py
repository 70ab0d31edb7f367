"""Members of a population against their runs alone, resumed with the same bits, and independent of the errors of others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve_values
from imgloc.runs.run_dir import RunDir
from imgloc.training import loop, population
from imgloc.training.metric_queue import NonFiniteError
from imgloc.training.setup import Opened
from tests.several_devices import StopAt
from tests.training.test_resume import saved_models, saved_states

STEPS = 50
MODELS = {
    "lstm": {"model.name": "sequence", "model.features": 8, "model.dropout": 0.1, "task": "classify", "losses.giou.weight": 0.0},
    "cnn": {"model.name": "tests.small_cnn", "model.hidden": 8},
    "line": {},  # of the recipe: a dense layer, for what does not depend on the model
}
RUNS = ({"seed": 0, "optim.lr": 0.01}, {"seed": 1, "optim.lr": 0.03}, {"seed": 2, "optim.lr": 0.003})
GO_ON: Any = SimpleNamespace(requested=False)


def config(model: str, **overrides: Any) -> ConfigDict:
    """By gradient descent: Adam divides gradients of nearly 0 by themselves, and so enlarges every difference of rounding."""
    settings = {"optim.name": "sgd", "train.steps": STEPS, "train.log_every": 1, "train.eval_every": 25, "train.save_every": 50}
    return resolve_values(read_recipe("tests/sweeps/recipe.py"), {**settings, **MODELS[model], **overrides})


def train(configs: Sequence[ConfigDict], folder: Path, *, stop: Any = GO_ON, size: int = 3, opened: Opened | None = None) -> list[Any]:
    members = [population.Member(config, folder / str(place), place) for place, config in enumerate(configs)]
    return population.train(members, size, stop=stop, opened=opened or Opened())


def losses(workdir: Path) -> np.ndarray:
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    found = np.array([record["loss"] for record in records if record["kind"] == "train"])
    assert len(found) == STEPS
    return found


def difference(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    assert a.keys() == b.keys()
    return max(float(np.abs(np.asarray(a[name], np.float64) - np.asarray(b[name], np.float64)).max()) for name in a)


def assert_same_bits(workdir: Path, reference: Path) -> None:
    """The same bits in the checkpoint, the models and the log."""
    ours, theirs = saved_states(workdir), saved_states(reference)
    assert ours.keys() == theirs.keys()
    assert ours
    assert not [name for name in ours if not np.array_equal(ours[name], theirs[name])]
    assert saved_models(workdir) == saved_models(reference)
    assert (workdir / "metrics.jsonl").read_text() == (reference / "metrics.jsonl").read_text()


@pytest.mark.parametrize("model", [pytest.param("lstm", marks=pytest.mark.slow), pytest.param("cnn", marks=pytest.mark.slow), "line"])
def test_each_member_is_nearly_its_run_alone(model: str, tmp_path: Path) -> None:
    configs, opened = [config(model, **run) for run in RUNS], Opened()
    assert train(configs, tmp_path / "together", opened=opened) == ["finished"] * 3
    for place, settings in enumerate(configs):
        alone, member = tmp_path / str(place), tmp_path / "together" / str(place)
        assert loop.train(settings, str(alone), stop=GO_ON, quiet=True, opened=opened) == "finished"
        np.testing.assert_allclose(losses(member), losses(alone), rtol=1e-5, atol=1e-5)
        assert difference(saved_states(member), saved_states(alone)) < 1e-5
        assert saved_models(member).keys() == saved_models(alone).keys()
    # The runs differ by more than that, so that a member with the numbers of another would be noticed.
    assert all(np.abs(losses(tmp_path / "0") - losses(tmp_path / other)).max() > 1e-3 for other in "12")
    assert all(difference(saved_states(tmp_path / "0"), saved_states(tmp_path / other)) > 1e-3 for other in "12")


def test_a_population_resumes_with_the_same_bits(tmp_path: Path) -> None:
    """Also where a member is finished or further ahead, and where it is the only one that is left."""
    configs, opened = [config("line", **run) for run in RUNS], Opened()
    assert train(configs, tmp_path / "whole", opened=opened) == ["finished"] * 3
    assert train(configs, tmp_path / "parts", stop=StopAt(3 * 12), opened=opened) == ["stopped"] * 3
    assert [population.recorded_place(tmp_path / "parts" / str(place)) for place in range(3)] == [(3, 0), (3, 1), (3, 2)]
    first = population.Member(configs[0], tmp_path / "parts" / "0", 0)
    assert population.train([first], 3, stop=StopAt(9), opened=opened) == ["stopped"]  # it is ahead now
    last = population.Member(configs[2], tmp_path / "parts" / "2", 2)
    assert population.train([last], 3, stop=GO_ON, opened=opened) == ["finished"]
    assert train(configs, tmp_path / "parts", opened=opened) == ["finished", "finished", "already finished"]
    for place in "012":
        assert_same_bits(tmp_path / "parts" / place, tmp_path / "whole" / place)


def test_a_member_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    opened = Opened()
    configs = [config("line", **run) for run in (RUNS[0], {"seed": 1, "optim.lr": 3e38}, RUNS[2])]
    finished, failed, other = train(configs, tmp_path / "one fails", opened=opened)
    assert (finished, other) == ("finished", "finished")
    assert isinstance(failed, NonFiniteError)
    train([config("line", **run) for run in RUNS], tmp_path / "none fails", opened=opened)
    for place in "02":
        assert_same_bits(tmp_path / "one fails" / place, tmp_path / "none fails" / place)


def test_an_error_of_a_users_module_ends_its_member_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_batches = loop.open_batches

    def broken(config: ConfigDict, *arguments: Any) -> Any:
        if config.seed == 1:
            raise KeyError("a column of the user's file")
        return open_batches(config, *arguments)

    monkeypatch.setattr(loop, "open_batches", broken)
    finished, failed, other = train([config("line", **run, **{"train.steps": 25}) for run in RUNS], tmp_path)
    assert (finished, other) == ("finished", "finished")
    assert isinstance(failed, KeyError)


@pytest.mark.parametrize(("seconds", "expected"), [(2 / population.MIN_GAIN - 0.01, True), (2 / population.MIN_GAIN + 0.01, False)])
def test_a_population_of_two_pays_if_it_is_faster_than_two_runs(seconds: float, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which a step of one run takes a second. There is one trial for each size."""
    calls = 1 + population.TRIAL_STEPS
    times = itertools.accumulate(itertools.chain.from_iterable([0.0, each] for each in [1.0] * calls + [seconds] * calls))
    monkeypatch.setattr(population, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    configs, opened = [config("line", **run) for run in RUNS[:2]], Opened()
    assert [population.pays(configs, opened) for _ in range(2)] == [expected, expected]
    assert next(times, None) is None


def test_several_steps_in_one_call(tmp_path: Path) -> None:
    configs, opened = [config("line", **run, **{"train.steps_per_call": 4}) for run in RUNS[:2]], Opened()
    assert train(configs, tmp_path / "together", size=2, opened=opened) == ["finished"] * 2
    loop.train(configs[1], str(tmp_path / "alone"), stop=GO_ON, quiet=True, opened=opened)
    np.testing.assert_allclose(losses(tmp_path / "together" / "1"), losses(tmp_path / "alone"), rtol=1e-5, atol=1e-5)


def test_a_run_alone_records_no_place(tmp_path: Path) -> None:
    assert population.recorded_place(tmp_path) is None
    run = RunDir(tmp_path)
    run.provenance.write_text('{"sessions": [{"layout": {"data": 1}}, {}]}')
    assert population.recorded_place(tmp_path) is None
