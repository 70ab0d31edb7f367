"""What a report shows of a run: its rows, checked to belong together, with their intervals, curves and origin."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from imgloc.config import schema as configs
from imgloc.config.registry import declared
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.predictors import MODEL, baselines, predictor_names
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Baseline, Task
from imgloc.runs import prediction_table
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir, open_run
from imgloc.types import Row


@dataclass(frozen=True)
class Scored:
    """The rows of one predictor, what they were made from, and every metric with its interval."""

    rows: list[Row]
    meta: dict[str, Any]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class RunReport:
    """One run, read and checked; `scored` has the model and the baselines of its task."""

    label: str
    run: RunDir
    config: ConfigDict
    task: Task
    classes: tuple[str, ...]
    scored: dict[str, Scored]
    metrics_log: list[dict[str, Any]]
    provenance: dict[str, Any]

    @property
    def model(self) -> Scored:
        """The rows of the model."""
        return self.scored[MODEL]

    @property
    def baselines(self) -> dict[str, Baseline]:
        """The baselines of the run's task by name."""
        return baselines(self.config.task)

    def class_name(self, label: int) -> str:
        """The name of a class; its number where the data set has no name for it."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)


def unique_labels(paths: Sequence[str]) -> list[str]:
    """A short name for each run folder: its own, with as many folders above it as distinguish it from the others."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    labels = [path[-1] for path in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        shared = {label for label in labels if len({path for path, other in zip(parts, labels, strict=True) if other == label}) > 1}
        labels = ["/".join(path[-depth:]) if label in shared else label for path, label in zip(parts, labels, strict=True)]
    # A folder that is named twice keeps its name and gets a number.
    return [label if label not in labels[:i] else f"{label} ({labels[:i].count(label) + 1})" for i, label in enumerate(labels)]


def load_run(path: str, label: str, split: str) -> RunReport:
    """Read one run folder. Raises UserError where rows are missing, outdated, empty, or of different data."""
    run, config = open_run(path)
    task = declared("tasks", config.task, Task)
    data = run.read(run.data)
    if "classes" not in data:
        raise UserError(f"'{run.data}' has no classes; train the run again: imgloc train")
    classes = tuple(str(name) for name in data["classes"])
    scored = {}
    for predictor in predictor_names(config.task):
        rows, meta = _load_rows(run, config, split, predictor)
        # Slices are shown of the model alone, and each costs a bootstrap.
        sliced = predictor == MODEL
        intervals = scoring.intervals(rows, classes, task, samples=config.eval.bootstrap_samples, sliced=sliced)
        scored[predictor] = Scored(rows, meta, intervals)
        if meta.get("data") != scored[MODEL].meta.get("data"):
            raise UserError(f"rows of '{predictor}' in {run.path} are of other data than the model's; run: imgloc evaluate {run.path}")
    _check_step(run, scored[MODEL].meta)
    provenance = run.read(run.provenance) if run.provenance.is_file() else {}
    return RunReport(label, run, config, task, classes, scored, read_metrics(run.metrics), provenance)


def _load_rows(run: RunDir, config: ConfigDict, split: str, predictor: str) -> tuple[list[Row], dict[str, Any]]:
    path = run.rows(split, predictor)
    if prediction_table.read_meta(path) is None:
        others = sorted(other.stem for other in path.parent.glob("*.jsonl") if "." not in other.stem)
        available = f", or choose --split {others[0]}, which has rows" if others else ""
        raise UserError(f"no rows of split '{split}' at {path}; run: imgloc evaluate {run.path} --split {split}{available}")
    rows = prediction_table.read_rows(path, expected={"config": configs.fingerprint(config)})
    if not rows:
        raise UserError(f"rows at {path} are empty; a report needs at least one example")
    return rows, prediction_table.read_meta(path) or {}


def _check_step(run: RunDir, meta: dict[str, Any]) -> None:
    """Raises UserError for rows of another model than the run has now."""
    which = "last" if meta.get("checkpoint") == "last" else "best"
    if run.finished.is_file():
        expected = run.read(run.finished).get(f"{which}_step")
    else:  # while training goes on, the bundle of the model is replaced
        folder = run.last_model if which == "last" and run.last_model.is_dir() else run.model
        expected = run.read(folder / "bundle.json").get("step")
    if meta.get("step") != expected:
        raise UserError(
            f"rows in {run.path} are of another checkpoint: step {meta.get('step')}, the {which} is step {expected}; "
            f"run: imgloc evaluate {run.path}"
        )
