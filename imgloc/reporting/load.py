"""Loading of runs for a report: rows that belong together, their metrics with intervals, the training log and the provenance."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from imgloc.config import schema as configs
from imgloc.config.task import make_task
from imgloc.errors import UserError, unknown
from imgloc.evaluation import scoring
from imgloc.evaluation.predictors import MODEL, baselines, predictor_names
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Baseline, Metric, Task
from imgloc.runs import prediction_table
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.recorded_data import read_data
from imgloc.runs.run_dir import RunDir, open_run
from imgloc.types import Row

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Scored:
    """The rows of one predictor, their provenance, and every metric with its interval."""

    rows: list[Row]
    meta: Mapping[str, object]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class RunReport:
    """One run; `scored` has the model and the baselines of its task. `split` is the name of its rows: SPLIT, or SPLIT@last."""

    label: str
    split: str
    run: RunDir
    config: ConfigDict
    task: Task
    classes: tuple[str, ...]
    scored: dict[str, Scored]
    metrics_log: Sequence[Mapping[str, object]]
    provenance: Mapping[str, object]

    @property
    def model(self) -> Scored:
        """The rows of the model."""
        return self.scored[MODEL]

    @property
    def baselines(self) -> dict[str, Baseline]:
        """The baselines of the run's task by name."""
        return baselines(self.config.task)

    def class_name(self, label: int) -> str:
        """The name of a class; its number if the data set has no name for it."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)


def metric_of(reports: Sequence[RunReport], key: str) -> Metric:
    """The metric of a key, of imgloc or of the modules of any run."""
    return scoring.metric_of(key, tuple(dict.fromkeys(module for report in reports for module in report.task.metrics)))


def unique_labels(paths: Sequence[str]) -> list[str]:
    """A short unique name for each run folder: the end of its path, with as many parent folders as needed."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    labels = [path[-1] for path in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        shared = {label for label in labels if len({path for path, other in zip(parts, labels, strict=True) if other == label}) > 1}
        labels = ["/".join(path[-depth:]) if label in shared else label for path, label in zip(parts, labels, strict=True)]
    # A folder that occurs twice gets a number.
    return [label if label not in labels[:i] else f"{label} ({labels[:i].count(label) + 1})" for i, label in enumerate(labels)]


class RunRows(NamedTuple):
    """A run folder, its config, and the rows of its model on a split with their provenance. `split` is SPLIT, or SPLIT@NAME.

    `path` is how it was named: the folder, or FOLDER@NAME.
    """

    path: str
    run: RunDir
    config: ConfigDict
    split: str
    rows: list[Row]
    meta: Mapping[str, object]

    @property
    def named(self) -> str:
        """NAME of FOLDER@NAME; empty for a folder."""
        return "" if os.path.isdir(self.path) else self.path.rpartition("@")[2]


def folder_and_split(path: str, split: str) -> tuple[str, str]:
    """The run folder and the name of the rows that a path stands for: FOLDER@NAME are the rows SPLIT@NAME of a folder."""
    folder, _, name = path.rpartition("@")
    return (path, split) if not folder or os.path.isdir(path) else (folder, f"{split}@{name}")


def load_rows(path: str, split: str) -> RunRows:
    """Load the rows of the model of a run folder. Raises UserError if they are missing, empty or outdated.

    Of a run that was scored by its last model alone they are those of that model. FOLDER@NAME are the rows SPLIT@NAME.
    """
    folder, split = folder_and_split(path, split)
    run, config = open_run(folder)
    if not run.rows(split).is_file() and run.rows(f"{split}@last").is_file():
        split = f"{split}@last"
    rows, meta = _load_rows(run, config, split, MODEL)
    _check_step(run, meta)
    return RunRows(path, run, config, split, rows, meta)


def load_run(path: str, label: str, split: str) -> RunReport:
    """Load one run folder. Raises UserError if rows are missing, empty, outdated or of different data.

    A run that was scored by its last model alone is reported by that model.
    """
    _, run, config, split, model_rows, model_meta = load_rows(path, split)
    task = make_task(config)
    classes = read_data(run).classes
    scored = {}
    for predictor in predictor_names(config.task):
        rows, meta = (model_rows, model_meta) if predictor == MODEL else _load_rows(run, config, split, predictor)
        sliced = predictor == MODEL  # the page shows no slices of baselines, and each costs a bootstrap
        intervals = scoring.intervals(rows, classes, task, samples=config.eval.bootstrap_samples, sliced=sliced)
        scored[predictor] = Scored(rows, meta, intervals)
        if meta.get("data") != scored[MODEL].meta.get("data"):
            raise UserError(
                f"rows of '{predictor}' in {run.path} were made from other data than those of the model; run: imgloc evaluate {run.path}"
            )
    provenance = run.read(run.provenance) if run.provenance.is_file() else {}
    return RunReport(label, split, run, config, task, classes, scored, read_metrics(run.metrics), provenance)


def _load_rows(run: RunDir, config: ConfigDict, split: str, predictor: str) -> tuple[list[Row], Mapping[str, object]]:
    path = run.rows(split, predictor)
    if prediction_table.read_meta(path) is None:
        others = sorted(other.stem for other in path.parent.glob("*.jsonl") if "." not in other.stem and other.stem != split)
        if split.partition("@")[0] not in SPLITS and split not in others:
            raise unknown("split", split, dict.fromkeys((*SPLITS, *others)))
        available = f", or use --split {others[0]}, which has rows" if others else ""
        raise UserError(f"no rows of split '{split}' at {path}; run: imgloc evaluate {run.path} --split {split}{available}")
    rows = prediction_table.read_rows(path, expected={"config": configs.fingerprint(config)})
    if not rows:
        raise UserError(f"rows at {path} are empty; a report needs at least one example")
    return rows, prediction_table.read_meta(path) or {}


def _check_step(run: RunDir, meta: Mapping[str, object]) -> None:
    """Raises UserError if the rows are not those of the present model of the run."""
    which = "last" if meta.get("checkpoint") == "last" else "best"
    if run.finished.is_file():
        expected = run.read(run.finished).get(f"{which}_step")
    else:  # training may have replaced the model
        folder = run.last_model if which == "last" and run.last_model.is_dir() else run.model
        expected = run.read(folder / "bundle.json").get("step")
    if meta.get("step") != expected:
        raise UserError(
            f"rows in {run.path} are from another checkpoint: step {meta.get('step')}, the {which} is step {expected}; "
            f"run: imgloc evaluate {run.path}"
        )
