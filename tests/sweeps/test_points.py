"""The points of a sweep: their configs, their names, and errors before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.config.schema import fingerprint_without_seed
from imgloc.errors import UserError
from imgloc.sweeps import points
from imgloc.sweeps.points import Point
from imgloc.training import setup
from tests.refusals import assert_refused

RECIPE = "tests/sweeps/recipe.py"


def expanded(*yielded: Any, arguments: Sequence[str] = (), recipe: str = RECIPE) -> list[Point]:
    return points.expand(read_recipe(recipe), yielded, arguments)


def name(overrides: dict[str, Any], recipe: str = RECIPE) -> str:
    (point,) = expanded(overrides, recipe=recipe)
    return point.name


def test_a_point_has_the_config_of_its_flags() -> None:
    (point,) = expanded({"optim.lr": 0.5, "data.image_size": (8, 12), "train.best_metric": "top1"}, arguments=["--config.seed=4"])
    by_hand = ["--config.optim.lr=0.5", "--config.data.image_size=(8, 12)", "--config.train.best_metric=top1", "--config.seed=4"]
    assert configs.to_json(point.config) == configs.to_json(resolve(read_recipe(RECIPE), by_hand))
    assert point.config.seed == 4
    assert point.identity == configs.fingerprint(point.config)


def test_a_point_may_name_another_model_and_its_fields() -> None:
    point, other = expanded({"model.name": "recurrent", "model.cell.name": "elman"}, {"model.scale": 2.0})
    assert point.config.model.cell.name == "elman"
    assert "scale" not in point.config.model
    assert other.config.model.scale == 2.0


def test_a_point_may_set_epochs() -> None:
    point, other = expanded({"train.epochs": 1, "seed": 1}, {"train.steps": 40})
    size = len(build.make_source(point.config.data, "train", 0))
    assert (point.config.train.steps, point.config.train.epochs) == (-(-size // 8), 0.0)
    assert point.name == "epochs=1,seed=1"
    assert other.config.train.steps == 40


def test_numpy_numbers_and_lists_become_plain_values() -> None:
    plain, numpy = (
        expanded({"optim.lr": rate, "train.steps": steps, "data.image_size": size})[0]
        for rate, steps, size in ((0.25, 7, (8, 8)), (np.float32(0.25), np.int64(7), [np.int64(8), 8]))
    )
    assert plain == numpy


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"optim.lr": 1e-3, "seed": 0}, "lr=0.001,seed=0"),
        ({"seed": 0, "optim.lr": 0.1 + 0.2}, "seed=0,lr=0.30000000000000004"),
        ({"optim.lr": 1e-12}, "lr=1e-12"),
        ({"model.name": "recurrent", "optim.name": "sgd"}, "model.name=recurrent,optim.name=sgd"),
        ({"losses.giou.weight": 2}, "giou.weight=2"),
        ({"data.image_size": (8, 12)}, "image_size=8x12"),
        ({"data.options.broken": True}, "broken=true"),
        ({}, "recipe"),
    ],
)
def test_names_contain_the_overrides_of_a_point(overrides: dict[str, Any], expected: str) -> None:
    assert name(overrides) == expected


@pytest.mark.parametrize("value", ["a/b", "../../up", "UPPER", "upper ", "\n", "é", "x" * 300, "a\\b"])
def test_special_characters_in_names_are_replaced(value: str) -> None:
    safe = name({"train.init_from": value})
    assert len(safe) <= 100
    assert set(safe) <= set("abcdefghijklmnopqrstuvwxyz0123456789._=,+-")
    assert safe.startswith("init_from=")
    assert safe[-10:-8] == "__"
    assert safe != name({"train.init_from": value + "y"})


def test_names_do_not_depend_on_other_points_or_their_order() -> None:
    first, second = {"optim.lr": 0.1, "seed": 0}, {"optim.lr": 0.1, "seed": 1}
    alone, among = expanded(first), expanded(second, {"optim.lr": 0.2, "optim.b1": 0.5, "seed": 0}, first)
    assert alone[0].name == among[2].name
    assert alone[0].identity == among[2].identity


def test_equal_names_become_unique() -> None:
    one, other = expanded({"train.init_skip": ("a", "b")}, {"train.init_skip": ("axb",)})
    assert one.name != other.name


@pytest.mark.parametrize(
    ("overrides", "contains"),
    [
        ("optim.lr", "must be a dict of overrides such as"),
        (None, "must be a dict of overrides such as"),
        ([("optim.lr", 1.0)], "must be a dict of overrides such as"),
        ({"optim.lrr": 1.0}, "did you mean 'optim.lr'"),
        ({"optimm.lr": 1.0}, "unknown config key"),
        ({"config.optim.lr": 1.0}, "unknown config key"),
        ({"model.scal": 2.0}, "did you mean 'model.scale'"),
        ({"optim": 3}, "is a section"),
        ({"optim.lr": {"value": 1.0}}, "optim.lr is a value, not a section"),
        ({"optim.lr": "fast"}, "of type float"),
        ({"optim.lr": "0.1"}, "of type float, such as 0.1, got '0.1'"),
        ({"optim.lr": None}, "of type float"),
        ({"optim.lr": float("nan")}, "finite"),
        ({"optim.lr": np.inf}, "finite"),
        ({"optim.lr": -1.0}, "must be at least 0"),
        ({"optim.lr": True}, "of type"),
        ({"optim.lr": np.array([0.1, 0.2])}, "of type float"),
        ({"train.steps": 10.0}, "of type int"),
        ({"train.steps": 0}, "must be at least 1"),
        ({"train.steps": True}, "of type int"),
        ({"data.options.broken": 1}, "of type bool"),
        ({"data.image_size": 8}, "data.image_size"),
        ({"data.image_size": (8.5, 8.5)}, "data.image_size"),
        ({"train.best_metric": 3}, "of type str"),
        ({"train.init_skip": "^a"}, "of type"),
        ({"model.name": "recurent"}, "did you mean 'recurrent'"),
        ({"data.source": 7}, "unknown source"),
        ({3: 4}, "key 3 is not a dotted name"),
        ({"": 4}, "is not a dotted name"),
        ({"optim lr": 4}, "is not a dotted name"),
        ({"optim.lr=1 --config.seed": 4}, "is not a dotted name"),
        ({"train.steps": 5}, "'train.steps' is also set by --config.train.steps"),
    ],
)
def test_an_invalid_point_is_refused_with_its_number(overrides: Any, contains: str) -> None:
    arguments = ["--config.train.steps=3"] if overrides == {"train.steps": 5} else []
    assert_refused(lambda: expanded({"seed": 7}, overrides, arguments=arguments), contains, "point 2 of sweep()")


def test_the_same_config_twice_is_refused() -> None:
    # The first and the last have the config of the recipe, whose learning rate is the default.
    assert_refused(lambda: expanded({"seed": 0}, {"seed": 1}, {"optim.lr": 1e-3}), "point 3", "same run as point 1")


def test_arguments_that_are_not_overrides_are_refused() -> None:
    assert_refused(lambda: expanded({}, arguments=["--config.seed=1", "stray"]), "unexpected argument 'stray'")


@pytest.mark.parametrize(
    ("body", "contains"),
    [
        ("", "has no sweep()"),
        ("sweep = 3", "has no sweep()"),
        ("def sweep(): pass", "fails after 0 points: TypeError"),
        ("def sweep(config): yield {}", "fails after 0 points: TypeError"),
        ("def sweep():\n    yield {}\n    yield {'seed': 1 / 0}", "fails after 1 points: ZeroDivisionError"),
        ("def sweep(): raise SystemExit(3)\n", "SystemExit"),
        ("def sweep(): return []", "yields no points"),
        ("def sweep():\n    yield from ()", "yields no points"),
        ("def sweep():\n    while True: yield {}", "more than 10000 points"),
    ],
)
def test_an_invalid_sweep_function_is_refused(body: str, contains: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(f"{Path(RECIPE).read_text().split('def sweep')[0]}\n\n{body}\n")
    assert_refused(lambda: points.read_sweep(str(recipe)), contains)


def test_a_generator_may_yield_the_same_dict_again(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text("def sweep():\n    d = {}\n    for seed in (3, 4):\n        d['seed'] = seed\n        yield d\n")
    assert points.read_sweep(str(recipe)) == [{"seed": 3}, {"seed": 4}]


def test_an_invalid_combination_is_refused_with_the_point() -> None:
    both = expanded({"losses.giou.output": "box"}, {"losses.giou.output": "second_box"})
    assert_refused(lambda: points.check(both, "test", lambda line: None), "point 2 of sweep()", "second_box")


@pytest.mark.parametrize(
    ("overrides", "contains"), [({"train.best_metric": "top_1"}, "did you mean"), ({"train.grad_accum_steps": 3}, "accumulation steps")]
)
def test_the_checks_of_training_are_made(overrides: dict[str, Any], contains: str) -> None:
    assert_refused(lambda: points.check(expanded(overrides), "test", lambda line: None), contains, "point 1 of sweep()")


def test_the_split_is_checked() -> None:
    assert_refused(lambda: points.check(expanded({}), "tset", lambda line: None), "unknown split 'tset'")


def test_the_evaluation_after_training_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    real = build.make_source

    def without_test(data: Any, split: str, seed: int) -> Any:
        if split == "test":
            raise UserError("no test split here")
        return real(data, split, seed)

    monkeypatch.setattr(build, "make_source", without_test)
    points.check(expanded({}), "validation", lambda line: None)
    after = expanded({"eval.after_training": "test@last"})
    assert_refused(lambda: points.check(after, "validation", lambda line: None), "point 1", "no test split here")


def test_points_of_the_same_shapes_are_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[Any] = []
    real = setup.set_up

    def counted(config: Any) -> Any:
        traced.append(configs.to_json(config))
        return real(config)

    monkeypatch.setattr(setup, setup.set_up.__name__, counted)
    same = [{"optim.lr": rate, "seed": seed} for rate in (0.1, 0.2) for seed in (0, 1)]
    several = expanded(*same, {"optim.clip_norm": 1.0}, {"optim.clip_norm": 2.0}, {"model.scale": 2.0})
    points.check(several, "test", lambda line: None)
    assert [(values["optim"]["clip_norm"], values["model"]["scale"]) for values in traced] == [(0.0, 1.0), (1.0, 1.0), (0.0, 2.0)]


def test_runs_of_one_config_with_several_seeds_are_grouped() -> None:
    several = expanded(*({"optim.lr": rate, "seed": seed} for rate in (0.1, 0.2) for seed in (0, 1)))
    groups = [fingerprint_without_seed(point.config) for point in several]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    one, other = expanded({"seed": 0, "devices.fsdp": 1}, {"seed": 1, "devices.fsdp": 2})  # devices are not part of the identity of a run
    assert fingerprint_without_seed(one.config) == fingerprint_without_seed(other.config)


def test_expanding_starts_no_accelerator() -> None:
    """A process that has initialized a GPU or TPU holds it, and the processes of the points could not use it."""
    import os
    import subprocess
    import sys

    code = "from tests.sweeps.test_points import expanded; print(expanded({'seed': 1})[0].name); import jax; jax.devices()"
    environment = {**os.environ, "JAX_PLATFORMS": "nowhere"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "seed=1", done.stderr
    assert done.returncode != 0  # jax.devices() starts one
    assert "nowhere" in done.stderr


def test_a_missing_recipe_is_a_user_error() -> None:
    with pytest.raises(UserError, match="no recipe file"):
        points.read_sweep("configs/none.py")
