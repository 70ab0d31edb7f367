"""The points of an experiment: each arm with each of its seeds is a point of a sweep, whose name is unique."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from imgloc.config.recipes import read_recipe
from imgloc.errors import UserError
from imgloc.experiments.declared import Arm, Experiment
from imgloc.sweeps.points import Point, expand, read_sweep


class ExperimentPoint(NamedTuple):
    """An arm with a seed."""

    arm: str
    seed: int
    recipe: str  # name or path of the file
    folder: str  # of the data; "" if the arm reads none
    point: Point


def data_folders(experiment: Experiment, given: Sequence[str]) -> dict[str, str]:
    """Return the folder of each data set of the arms: FOLDER or NAME=FOLDER of the command, else $IMGLOC_DATA/NAME.

    Raises UserError for a name that no arm has, and for a FOLDER without a name where there are several.
    """
    names = dict.fromkeys(arm.data for arm in experiment.arms.values() if arm.data)
    root = Path(os.environ.get("IMGLOC_DATA", "data"))
    folders = {name: str((root / name).absolute()) for name in names}
    for entry in given:
        name, is_named, path = entry.partition("=")
        if not is_named and len(names) == 1:
            name, path = next(iter(names)), entry
        if name not in names or not path:
            expected = " or ".join(f"{name}=FOLDER" for name in names) or "nothing, because no arm reads a folder"
            raise UserError(f"--folder is '{entry}'; possible: {expected}")
        folders[name] = os.path.abspath(path)
    return folders


def points_of(
    experiment: Experiment, place: Path, arms: Sequence[str], seeds: Sequence[int], folders: Mapping[str, str]
) -> list[ExperimentPoint]:
    """Return the points of some arms and seeds (none: all of an arm), those of one recipe together and then seed by seed.

    `place` is the folder of the experiment, which may contain recipes. Raises UserError, with the name of the arm, for what
    `imgloc train` refuses, for data that is missing, for a seed that no chosen arm has, and for two arms with the same config.
    """
    unknown = sorted(set(seeds) - {seed for name in arms for seed in experiment.seeds_of(name)})
    if unknown:
        possible = ", ".join(map(str, sorted({seed for name in arms for seed in experiment.seeds_of(name)})))
        raise UserError(f"--seeds has {unknown[0]}, which no chosen arm has; possible: {possible}")
    found: list[ExperimentPoint] = []
    for name in arms:
        arm = experiment.arms[name]
        own = place / arm.recipe
        recipe, folder = str(own) if own.is_file() else arm.recipe, folders.get(arm.data, "")
        arguments = [f"--config.data.options.folder={folder}"] if folder else []
        chosen = [seed for seed in experiment.seeds_of(name) if not seeds or seed in seeds]
        overrides = [{**arm.overrides, "seed": seed} for seed in chosen]
        try:
            base = read_recipe(recipe)
        except UserError as error:
            raise UserError(f"arm '{name}': {error}") from error
        points = expand(base, overrides, arguments, functools.partial(_title, name, chosen))
        for seed, point in zip(chosen, points, strict=True):
            named = dataclasses.replace(point, name=folder_name(name, seed))
            found.append(ExperimentPoint(name, seed, recipe, folder, named))
    _check_different(found)
    recipes = list(dict.fromkeys(each.recipe for each in found))
    return sorted(found, key=lambda each: (recipes.index(each.recipe), each.seed))


def _title(name: str, seeds: Sequence[int], number: int, overrides: object) -> str:
    """How messages name a point of an arm."""
    return f"arm '{name}', seed {seeds[number - 1]}"


def folder_name(arm: str, seed: int) -> str:
    """Return the name of the run folder of an arm and seed."""
    return f"{''.join(c if c.isalnum() else '-' for c in arm)}-{seed}"


def _check_different(found: Sequence[ExperimentPoint]) -> None:
    arms: dict[str, str] = {}
    names: dict[str, str] = {}
    for each in found:
        for what, key, known in (("config", each.point.identity, arms), ("run folder", each.point.name, names)):
            if known.setdefault(key, each.arm) != each.arm:
                raise UserError(f"arms '{known[key]}' and '{each.arm}' have the same {what}; remove or rename one of them")


def swept(recipe: str, name: Callable[[Mapping[str, Any]], str], data: str = "") -> dict[str, Arm]:
    """Return the arms of the sweep() of a recipe: `name` names the overrides of a point, whose seed is left out."""
    arms: dict[str, Arm] = {}
    for overrides in (point for point in read_sweep(recipe) if isinstance(point, dict)):
        without_seed = {key: value for key, value in overrides.items() if key != "seed"}
        arms.setdefault(name(without_seed), Arm(recipe, without_seed, data=data))
    return arms


def steps_of(steps: int, validations: int = 10) -> dict[str, Any]:
    """Return overrides for a number of training steps, with evenly spaced validations and checkpoints."""
    return {"train.steps": steps, "train.eval_every": steps // validations, "train.save_every": steps // validations}


def cell_title(overrides: Mapping[str, Any]) -> str:
    """Return a recurrent cell with the settings that overrides give it, such as `lstm(activation=relu)`."""
    settings = {key.removeprefix("model.cell."): value for key, value in overrides.items() if key.startswith("model.cell.")}
    name = str(settings.pop("name"))
    return name + (f"({', '.join(f'{key}={value}' for key, value in settings.items())})" if settings else "")
