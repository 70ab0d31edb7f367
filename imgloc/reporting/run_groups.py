"""Groups of runs that differ in their seeds, and the rows of each run on one split."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from imgloc.config.schema import fingerprint_without_seed
from imgloc.config.task import make_task
from imgloc.errors import UserError
from imgloc.interfaces import Task
from imgloc.reporting.load import RunRows, load_rows, unique_labels
from imgloc.runs.recorded_data import read_data

SEED_AT_THE_END = re.compile(r"[-_,.]?(seed)?[-_=]?\d*$")  # of what the names of runs with several seeds have in common


class NamedPaths(NamedTuple):
    """The run folders that one argument stands for, and the name that the user gave them; "" if none."""

    name: str
    paths: Sequence[str]


class RunGroups(NamedTuple):
    """Groups of runs by name, which were scored on the same examples, and their task with the metrics of all runs."""

    runs: Mapping[str, Sequence[RunRows]]
    task: Task
    classes: tuple[str, ...]


def load_groups(arguments: Sequence[NamedPaths], split: str) -> RunGroups:
    """Load groups of runs on a split. Runs without a name are one group where their configs differ in the seed alone.

    Raises UserError where rows are missing or outdated, for runs of different tasks, classes, splits or data, for a named group whose
    runs differ in more than the seed, and for a group in which a seed occurs twice.
    """
    named: dict[str, list[RunRows]] = {}
    unnamed: dict[str, list[RunRows]] = {}
    in_order: list[tuple[str, list[RunRows]]] = []
    for name, paths in arguments:
        for run in (load_rows(path, split) for path in paths):
            groups, key = (named, name) if name else (unnamed, f"{fingerprint_without_seed(run.config)} {run.named}")
            if key not in groups:
                groups[key] = []
                in_order.append((name, groups[key]))
            groups[key].append(run)
    if not in_order:
        raise UserError("no runs are given; possible: run folders, folders of sweeps, patterns such as 'runs/a-*', or NAME=PATTERN")
    labels = _labels([[run.path for run in runs] for _, runs in in_order], [name for name, _ in in_order])
    found = {label: runs for label, (_, runs) in zip(labels, in_order, strict=True)}
    _check_data([run for runs in found.values() for run in runs])
    for label, runs in found.items():
        _check_seeds(label, runs)
    every = [run for runs in found.values() for run in runs]
    tasks = [make_task(run.config) for run in every]
    modules = tuple(dict.fromkeys(module for task in tasks for module in task.metrics))
    return RunGroups(found, dataclasses.replace(tasks[0], metrics=modules), read_data(every[0].run).classes)


def _labels(paths_of_groups: Sequence[Sequence[str]], names: Sequence[str]) -> list[str]:
    """The name of each group: the given one, that of its only run, or what the names of its runs have in common."""
    singles = [paths[0] if len(paths) == 1 and not name else "" for paths, name in zip(paths_of_groups, names, strict=True)]
    of_singles = dict(zip([path for path in singles if path], unique_labels([path for path in singles if path]), strict=True))
    labels: list[str] = []
    for paths, name in zip(paths_of_groups, names, strict=True):
        label = name or of_singles.get(paths[0]) or _common_name([Path(os.path.abspath(path)) for path in paths])
        labels.append(label if label not in labels else f"{label} ({sum(other.split(' (')[0] == label for other in labels) + 1})")
    return labels


def _common_name(paths: Sequence[Path]) -> str:
    """What the names of folders begin with, without the word seed; else the name of the folder above the first one."""
    same = itertools.takewhile(lambda characters: len(set(characters)) == 1, zip(*(path.name for path in paths), strict=False))
    return SEED_AT_THE_END.sub("", "".join(characters[0] for characters in same), count=1) or paths[0].parent.name


def _check_data(runs: Sequence[RunRows]) -> None:
    """Raises UserError where two runs have rows that cannot be paired."""
    first = runs[0]
    for run in runs[1:]:
        facts = {
            "task": (first.config.task, run.config.task),
            "split": tuple(each.split.removesuffix(f"@{each.named}") for each in (first, run)),
            "data": (first.meta.get("data"), run.meta.get("data")),
            "classes": tuple(", ".join(read_data(each.run).classes) for each in (first, run)),
        }
        for what, (here, there) in facts.items():
            if here != there:
                raise UserError(
                    f"runs can be compared on the same examples alone: the {what} of '{first.run.path}' is '{here}', "
                    f"of '{run.run.path}' '{there}'; leave one of them out"
                )


def _check_seeds(label: str, runs: Sequence[RunRows]) -> None:
    """Raises UserError where the runs of a group are not those of one config with several seeds."""
    for i, run in enumerate(runs):
        if fingerprint_without_seed(run.config) != fingerprint_without_seed(runs[0].config):
            raise UserError(
                f"the runs of the group '{label}' must differ in their seeds alone: the configs of '{runs[0].run.path}' and "
                f"'{run.run.path}' differ in more; give each a group of its own"
            )
        for other in runs[:i]:
            if other.config.seed == run.config.seed:
                raise UserError(
                    f"the group '{label}' has seed {run.config.seed} twice, '{other.run.path}' and '{run.run.path}'; "
                    "runs of one seed are not independent: leave one out, or name two groups (NAME=PATTERN)"
                )
