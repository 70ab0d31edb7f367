"""What a report shows of a run: its rows, checked to belong together, with their intervals, curves and origin."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from imgloc.config import schema as configs
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.statistics import Interval
from imgloc.runs import prediction_table
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.prediction_table import PREDICTORS
from imgloc.runs.run_dir import RunDir, open_run
from imgloc.types import Row


@dataclass(frozen=True)
class Scored:
    """The rows of one predictor, what they were made of, and every metric with its interval."""

    rows: list[Row]
    meta: dict[str, Any]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class RunReport:
    """One run, read and checked; `scored` has the model and both baselines."""

    label: str
    run: RunDir
    config: ConfigDict
    classes: tuple[str, ...]
    scored: dict[str, Scored]
    journal: list[dict[str, Any]]
    provenance: dict[str, Any]

    @property
    def model(self) -> Scored:
        return self.scored["model"]

    @property
    def has_boxes(self) -> bool:
        return "mean_iou" in self.model.intervals


def unique_labels(paths: Sequence[str]) -> list[str]:
    """A short name for each run folder: its own, with as many folders above it as tell it from the others."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    labels = [path[-1] for path in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        shared = {label for label in labels if len({path for path, other in zip(parts, labels, strict=True) if other == label}) > 1}
        labels = ["/".join(path[-depth:]) if label in shared else label for path, label in zip(parts, labels, strict=True)]
    # A folder given twice keeps its name and gets a number.
    return [label if label not in labels[:i] else f"{label} ({labels[:i].count(label) + 1})" for i, label in enumerate(labels)]


def load_run(path: str, label: str, split: str) -> RunReport:
    """Read one run folder. Raises UserError where rows are missing, stale, empty, or of different data."""
    run, config = open_run(path)
    data = run.read(run.data)
    if "classes" not in data:
        raise UserError(f"'{run.data}' names no classes; train the run again: imgloc train")
    classes = tuple(str(name) for name in data["classes"])
    scored = {}
    for predictor in PREDICTORS:
        # Slices by class are shown of the model alone, and cost a resampling each.
        shown = classes if predictor == "model" else ()
        scored[predictor] = _load_rows(run, config, split, predictor, shown)
    for predictor in PREDICTORS[1:]:
        if scored[predictor].meta.get("data") != scored["model"].meta.get("data"):
            raise UserError(f"rows of '{predictor}' in {run.path} are of other data than the model's; run: imgloc evaluate {run.path}")
    _check_step(run, scored["model"].meta)
    provenance = run.read(run.provenance) if run.provenance.is_file() else {}
    return RunReport(label, run, config, classes, scored, read_metrics(run.metrics), provenance)


def _load_rows(run: RunDir, config: ConfigDict, split: str, predictor: str, classes: Sequence[str]) -> Scored:
    path = run.rows(split, predictor)
    if prediction_table.read_meta(path) is None:
        others = sorted(other.stem for other in path.parent.glob("*.jsonl") if "." not in other.stem)
        have = f", or --split {others[0]}, whose rows are there" if others else ""
        raise UserError(f"no rows of split '{split}' at {path}; run: imgloc evaluate {run.path} --split {split}{have}")
    found = prediction_table.read_rows(path, expected={"config": configs.fingerprint(config)})
    if not found:
        raise UserError(f"rows at {path} are empty; a report wants at least one example")
    intervals = scoring.intervals(found, classes, resamples=config.eval.resamples)
    return Scored(found, prediction_table.read_meta(path) or {}, intervals)


def _check_step(run: RunDir, meta: dict[str, Any]) -> None:
    """Refuse rows of another checkpoint than the one that the finished run has."""
    if not run.finished.is_file():
        if not (run.checkpoints / str(meta.get("step"))).is_dir():
            raise UserError(f"rows in {run.path} are of step {meta.get('step')}, which training has left; run: imgloc evaluate {run.path}")
        return
    finished = run.read(run.finished)
    which = "last" if meta.get("checkpoint") == "last" else "best"
    wanted = finished.get(f"{which}_step")
    if wanted is None:  # a run without validation has no best checkpoint: the last serves
        wanted = finished.get("last_step")
    if meta.get("step") != wanted:
        raise UserError(
            f"rows in {run.path} are of another checkpoint: step {meta.get('step')}, the {which} is step {wanted}; "
            f"run: imgloc evaluate {run.path}"
        )
