"""What an experiment is: arms with their recipes and overrides, seeds, further evaluations, and tables. It is declared in experiment.py::

    EXPERIMENT = Experiment(
        arms={"CNN": Arm("digits_cnn"), "LSTM": Arm("digits_lstm", {"optim.lr": 2e-3})},
        tables=(Table("model", (metric("top1", "class correct"), steps()), show_provenance=True),),
    )

All parts are frozen dataclasses. Nothing is trained or read when they are made.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from imgloc.config.recipes import execute_file
from imgloc.errors import UserError, unknown

Json: TypeAlias = dict[str, Any]
Runs: TypeAlias = Sequence[Json]  # records of results.json: those of finished runs have `results`
Form: TypeAlias = Callable[[Sequence[Json]], str]  # from a value with its interval for each run to a cell
FILE = "experiment.py"


@dataclass(frozen=True)
class Evaluation:
    """A further evaluation of each finished run on the test split, besides that of the best checkpoint."""

    checkpoint: str = "best"
    name: str = ""  # required with overrides
    overrides: Mapping[str, Any] = field(default_factory=dict)  # of model fields that change no parameter, or of the data

    @property
    def split(self) -> str:
        """Its key in the results of a run."""
        parts = [part for part in (self.name, self.checkpoint if self.checkpoint != "best" else "") if part]
        return "test@" + "_".join(parts) if parts else "test"


@dataclass(frozen=True)
class Arm:
    """A recipe with overrides, trained once for each seed."""

    recipe: str  # name of a recipe, or its path, which may be relative to the experiment
    overrides: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""  # of its row in tables (default: its name)
    data: str = ""  # name of the folder below $IMGLOC_DATA that `data.options.folder` is set to; "" leaves the recipe's
    seeds: tuple[int, ...] = ()  # instead of those of the experiment
    evaluations: tuple[Evaluation, ...] = ()
    split: str = "test"  # key of the results that columns without a split show


@dataclass(frozen=True)
class Column:
    """A column of a table. It shows a metric with a form, or a text of the results, the name of the arm and all of its runs."""

    title: str
    text: Callable[[Json, str, Runs], str] | None = None
    metric: str = ""
    split: str = ""  # key of the results of a run (default: the split of the arm)
    form: Form | None = None  # how a metric is shown
    error: bool = False  # show 1 - the metric
    arm: str = ""  # replaces {} in the name of the row's arm, where columns are of different arms
    in_baseline_rows: bool = True  # whether the rows of baselines show it
    hidden_for: tuple[str, ...] = ()  # arms that show "-" instead


@dataclass(frozen=True)
class Table:
    """A Markdown table with a row for each arm that has finished runs."""

    first_column: str  # its title
    columns: tuple[Column, ...]
    rows: Mapping[str, str] = field(default_factory=dict)  # name of an arm -> title (default: all arms); {seeds} is their number
    baselines: Mapping[str, str] = field(default_factory=dict)  # key of a baseline in the results of a run -> title of its row
    baselines_of: str = ""  # arm whose results have them (default: the first one that has any)
    baseline_blank: str = "  "  # cells of baselines in columns without a metric
    each_run: bool = False  # a row for each run, and the baselines after each arm
    unfinished: bool = False  # rows of arms without finished runs too
    show_provenance: bool = False  # a line with commits, machine and versions
    extra_rows: Callable[[Json], Sequence[Sequence[str]]] | None = None  # from the results, each as its cells


@dataclass(frozen=True)
class Experiment:
    """Everything about an experiment; `imgloc experiment` and `imgloc reproduce` run it."""

    arms: Mapping[str, Arm]  # by name
    tables: tuple[Table | Callable[[Json], str], ...]  # a function returns a text from the results
    seeds: tuple[int, ...] = (0, 1, 2)
    extra_metrics: tuple[str, ...] = ()  # keys that results.json keeps and no column shows
    extra_values: Callable[[Path], Json] | None = None  # of a run folder, which results.json keeps
    operations: bool = False  # whether --measure counts operations; not for recurrent models
    pictures: Callable[[Json, Path], Mapping[str, bytes]] | None = None  # files from the results and the folder of the runs

    def rows(self, table: Table) -> dict[str, str]:
        """Return the names of the arms in a table, with {} where a column completes them, and the titles of their rows."""
        return dict(table.rows) or {name: arm.title or name for name, arm in self.arms.items()}

    def metric_columns(self, name: str) -> list[Column]:
        """Return the columns with metrics of an arm, those of all tables."""
        columns = []
        for table in self.tables:
            if isinstance(table, Table):
                for row in self.rows(table):
                    columns += [column for column in table.columns if column.metric and row.replace("{}", column.arm) == name]
        return [self.with_split(column, name) for column in columns]

    def with_split(self, column: Column, name: str) -> Column:
        """Return a column with the split that it shows of an arm."""
        return column if column.split or name not in self.arms else dataclasses.replace(column, split=self.arms[name].split)

    def seeds_of(self, name: str) -> tuple[int, ...]:
        """Return the seeds of an arm."""
        return self.arms[name].seeds or self.seeds


def load_experiment(path: str) -> tuple[Experiment, Path]:
    """Return the EXPERIMENT of FOLDER/experiment.py and its folder. Raises UserError where there is none, or where it is wrong."""
    folder = Path(path)
    file = folder if folder.name == FILE else folder / FILE
    if not file.is_file():
        others = sorted(str(each.parent) for each in folder.parent.glob(f"*/{FILE}"))
        if others:
            raise unknown("experiment", path, others)
        raise UserError(f"'{path}' is not an experiment: it has no {FILE}; possible: a folder with a file {FILE} that sets EXPERIMENT")
    sys.path.insert(0, str(file.parent.absolute()))  # a file beside it may draw its pictures
    try:
        experiment = getattr(execute_file(file, "experiment"), "EXPERIMENT", None)
    finally:
        sys.path.pop(0)
    if not isinstance(experiment, Experiment):
        raise UserError(f"'{file}' must set EXPERIMENT to an imgloc.experiments.declared.Experiment, got {type(experiment).__name__}")
    return experiment, file.parent


def matching(experiment: Experiment, patterns: Sequence[str]) -> list[str]:
    """Return the arms with one of the names, or that match one of the patterns; a pattern without a match may begin a name.

    No patterns mean all arms. Raises UserError for a pattern that no arm matches.
    """
    chosen: set[str] = set()
    for pattern in patterns or ("*",):
        found = {name for name in experiment.arms if name == pattern or fnmatch.fnmatchcase(name, pattern)}
        found = found or {name for name in experiment.arms if name.startswith(pattern)}
        if not found:
            raise unknown("arm", pattern, experiment.arms)
        chosen |= found
    return [name for name in experiment.arms if name in chosen]
