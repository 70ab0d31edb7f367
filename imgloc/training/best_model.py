"""The best validation so far, and the bundles of the best and of the last model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from imgloc.devices import mesh
from imgloc.evaluation.scoring import metric_of
from imgloc.inference.bundle import write_bundle
from imgloc.runs.run_dir import RunDir
from imgloc.training.setup import TrainingSetup
from imgloc.training.step import TrainState, eval_variables

Records = Sequence[Mapping[str, Any]]  # of metrics.jsonl, so that a resumed run decides as one that never stopped


def best_step(records: Records, metric: str) -> int | None:
    """The step of the best validation, the last of equal ones; None where no validation has the metric."""
    scored = _validations(records, metric)
    return max(scored, key=lambda entry: (entry[1], entry[0]))[0] if scored else None


def is_out_of_patience(records: Records, metric: str, patience: int) -> bool:
    """Whether the best validation, the first of equal ones, is `patience` or more validations ago; never where that is 0."""
    values = [value for _, value in _validations(records, metric)]
    return patience > 0 and bool(values) and len(values) - 1 - values.index(max(values)) >= patience


def _validations(records: Records, metric: str) -> list[tuple[int, float]]:
    """(step, value) of every validation; the higher value is the better one."""
    sign = metric_of(metric).sign
    validations = (record for record in records if record["kind"] == "validation" and record.get(metric) is not None)
    return [(record["step"], sign * record[metric]) for record in validations]


def write_model(run: RunDir, config: ConfigDict, setup: TrainingSetup, state: TrainState, records: Records) -> None:
    """Write the bundle of a state: as the run's best model where its validation is the best so far, else as its last model.

    Without any validation, the last model is the best one. All processes call this, the first one writes.
    """
    step = int(state.step)
    is_best = best_step(records, config.train.best_metric) in (None, step)
    variables = mesh.on_host(eval_variables(state), setup.devices)
    if jax.process_index() > 0:
        return
    info = setup.train.info
    folder = run.model if is_best else run.last_model
    write_bundle(folder, config, classes=info.classes, channels=info.channels, step=step, variables=variables)
    if is_best:  # the last model is the best one
        shutil.rmtree(run.last_model, ignore_errors=True)
