"""Declaring experiments: loading, choosing arms, points with names, folders of data; and what is refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgloc.cli import main
from imgloc.errors import UserError
from imgloc.experiments import points
from imgloc.experiments.columns import metric
from imgloc.experiments.declared import Arm, Evaluation, Experiment, Table, load_experiment, matching

RECIPE = "tests/sweeps/recipe.py"
PLACE = Path("experiments")
TABLE = Table("arm", (metric("top1", "class"),))


def some(**arms: Arm) -> Experiment:
    return Experiment({name.replace("_", " "): arm for name, arm in arms.items()}, (TABLE,))


def test_arms_are_chosen_by_name_pattern_or_beginning() -> None:
    experiment = some(CNN=Arm(RECIPE), CNN__large=Arm(RECIPE), LSTM__two=Arm(RECIPE))
    assert matching(experiment, []) == ["CNN", "CNN  large", "LSTM  two"]
    assert matching(experiment, ["CNN"]) == ["CNN"]
    assert matching(experiment, ["LSTM"]) == ["LSTM  two"]
    assert matching(experiment, ["*large", "LST*"]) == ["CNN  large", "LSTM  two"]
    with pytest.raises(UserError, match="unknown arm 'GRU'"):
        matching(experiment, ["GRU"])


def test_points_have_names_and_are_ordered_by_recipe_and_seed() -> None:
    experiment = some(a=Arm(RECIPE), c=Arm("digits_cnn", seeds=(7,)), b_1=Arm(RECIPE, {"optim.lr": 0.5}))
    found = points.points_of(experiment, PLACE, list(experiment.arms), [], {})
    assert [each.point.name for each in found] == ["a-0", "b-1-0", "a-1", "b-1-1", "a-2", "b-1-2", "c-7"]
    assert found[3].point.config.optim.lr == 0.5
    assert (found[3].point.config.seed, found[3].seed, found[3].arm) == (1, 1, "b 1")
    assert [each.point.name for each in points.points_of(experiment, PLACE, ["a", "c"], [1], {})] == ["a-1"]


@pytest.mark.parametrize(
    ("arms", "seeds", "message"),
    [
        ({"a": Arm(RECIPE), "b": Arm(RECIPE)}, [], "arms 'a' and 'b' have the same config"),
        ({"a_b": Arm(RECIPE), "a.b": Arm(RECIPE, {"optim.lr": 0.5})}, [], "arms 'a b' and 'a.b' have the same run folder"),
        ({"a": Arm(RECIPE, {"optim.rate": 0.5})}, [], r"^arm 'a', seed 0: unknown config key 'optim\.rate'"),
        ({"a": Arm(RECIPE, {"optim.lr": "fast"})}, [], "^arm 'a', seed 0: .*optim.lr"),
        ({"a": Arm("no_such_recipe")}, [], "^arm 'a': unknown recipe"),
        ({"a": Arm(RECIPE)}, [5], "--seeds has 5, which no chosen arm has; possible: 0, 1, 2"),
    ],
)
def test_wrong_arms_are_refused(arms: dict[str, Arm], seeds: list[int], message: str) -> None:
    experiment = some(**arms)
    with pytest.raises(UserError, match=message):
        points.points_of(experiment, PLACE, list(experiment.arms), seeds, {})


def test_folders_of_data_have_defaults_and_are_given_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMGLOC_DATA", str(tmp_path))
    one, two = some(a=Arm(RECIPE, data="mnist")), some(a=Arm(RECIPE, data="mnist"), b=Arm(RECIPE, data="bccd"))
    assert points.data_folders(one, []) == {"mnist": str(tmp_path / "mnist")}
    assert points.data_folders(one, ["here"]) == {"mnist": os.path.abspath("here")}
    assert points.data_folders(two, ["bccd=there"]) == {"mnist": str(tmp_path / "mnist"), "bccd": os.path.abspath("there")}
    for wrong in ("here", "coco=there", "bccd="):
        with pytest.raises(UserError, match="possible: mnist=FOLDER or bccd=FOLDER"):
            points.data_folders(two, [wrong])


def test_arms_of_a_sweep_are_its_points_without_seeds() -> None:
    arms = points.swept("rows_mnist", lambda overrides: f"{points.cell_title(overrides)}, {overrides['model.features']}", data="mnist")
    assert len(arms) == 8
    assert arms["lstm(activation=relu, kernel_init=joint), 50"].overrides["model.cell.kernel_init"] == "joint"
    assert not [arm for arm in arms.values() if "seed" in arm.overrides or arm.data != "mnist"]


def test_an_evaluation_has_the_name_that_imgloc_evaluate_gives_it() -> None:
    assert Evaluation().split == "test"
    assert Evaluation("last").split == "test@last"
    assert Evaluation("last", "averaged", {"model.num_rollouts": 10}).split == "test@averaged_last"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "it has no experiment.py"),
        ("EXPERIMENT = 3", "must set EXPERIMENT to an imgloc.experiments.declared.Experiment, got int"),
        ("1 / 0", "ZeroDivisionError: division by zero; correct the file"),
    ],
)
def test_a_folder_without_a_right_experiment_is_refused(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    if text is not None:
        (place / "experiment.py").write_text(text)
    for command in ("experiment", "reproduce"):
        assert main.main([command, str(place)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"imgloc {command}: ")
        assert message in line


@pytest.mark.parametrize("command", ["experiment", "reproduce"])
def test_executors_are_refused_as_for_a_sweep(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workdir = tmp_path / "runs"
    for flags, message in (
        (["--executor", "proceses"], "did you mean 'processes'?"),
        (["--executor", "in_process", "--jobs", "2"], "the executor in_process runs one job at a time, got --jobs 2"),
        (["--option", "core=1"], "did you mean 'cores'?"),
    ):
        assert main.main([command, "experiments/scattered_digits", "--workdir", str(workdir), *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not workdir.exists()


def test_the_nearest_experiment_is_named() -> None:
    with pytest.raises(UserError, match="did you mean 'experiments/scattered_digits'"):
        load_experiment("experiments/scattered_digit")
