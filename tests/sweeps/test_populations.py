"""Which points of a sweep train together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgloc import files
from imgloc.config.recipes import read_recipe
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import points
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.executor import Session, SweepStop
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.populations import groups
from imgloc.sweeps.work import Plan
from imgloc.training import population

Pretend = Callable[..., None]
RECIPE = "tests/sweeps/recipe.py"
GO_ON: Any = SimpleNamespace(requested=False)


@pytest.fixture
def divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Point], int], list[list[int]]]:
    """The numbers of the points of each group. Nothing is computed for them."""
    monkeypatch.setattr(population, "pays", lambda *_: pytest.fail("a trial"))
    plan = Plan(SweepDir(tmp_path), RECIPE, "test")

    def groups_of(some: list[Point], most: int) -> list[list[int]]:
        session = Session(plan, Claims(tmp_path), SweepStop(GO_ON), 1, lambda *_: None, {"population": str(most)})
        return [[some.index(point) for point in group] for group in groups(session, some)]

    return groups_of


def expanded(*yielded: dict[str, Any]) -> list[Point]:
    return points.expand(read_recipe(RECIPE), yielded)


def test_new_points_of_a_program_are_divided_by_the_largest_size(divided: Any) -> None:
    some = expanded(*({"seed": seed, "model.scale": scale} for seed in range(4) for scale in (1.0, 2.0)), {"optim.weight_decay": 0.5})
    assert divided(some, 1) == [[number] for number in range(9)]
    assert divided(some, 3) == [[0, 2, 4], [6], [1, 3, 5], [7], [8]]
    assert divided(some, 16) == [[0, 2, 4, 6], [1, 3, 5, 7], [8]]


def test_the_size_is_a_multiple_of_the_number_of_devices(divided: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "possible_sizes", lambda config, most: range(4, most + 1, 4))
    some = expanded(*({"seed": seed} for seed in range(13)))
    assert [len(group) for group in divided(some, 10)] == [8, 4, 1]


def test_points_that_began_together_stay_together(divided: Any, tmp_path: Path, pretend: Pretend) -> None:
    """Runs 0, 1 and 4 were in populations of 3, the latter two at the same place; 2 is trained, 3 began alone, and 7 is refused."""
    some = expanded(*({"seed": seed} for seed in range(8)))
    for number, place in ((0, 0), (1, 2), (4, 2)):
        run = RunDir(tmp_path / some[number].name)
        pretend(run, some[number], trained=False)
        sessions = [{"layout": {"data": 1}}, {"layout": {"population": 3, "member": place}}]
        files.write_json(run.provenance, {"config": some[number].identity, "sessions": sessions})
    pretend(RunDir(tmp_path / some[2].name), some[2])
    pretend(RunDir(tmp_path / some[3].name), some[3], trained=False)
    files.write_text(tmp_path / some[7].name / "thesis.tex", "dear")
    assert divided(some, 2) == [[2], [3], [7], [0, 1], [4], [5, 6]]


def test_fitted_models_are_single(divided: Any) -> None:
    config = read_recipe("digits_hog_svm")
    some = points.expand(config, [{"seed": seed} for seed in range(2)])
    assert divided(some, 2) == [[0], [1]]
