"""The step of the best validation, and the bundles of the best and of the last model.

Both come from the records of metrics.jsonl, so that a resumed run makes the same decisions as an uninterrupted one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import jax
from jaxtyping import PyTree
from ml_collections import ConfigDict

from imgloc.devices import mesh
from imgloc.evaluation.scoring import metric_of
from imgloc.inference.bundle import write_bundle
from imgloc.interfaces import Metric
from imgloc.runs.run_dir import RunDir
from imgloc.training.pruning import last_pruning_step
from imgloc.training.run_loggers import Record
from imgloc.training.setup import RunParts, TrainingSetup
from imgloc.training.step import TrainState, eval_variables


def best_step(records: Sequence[Record], metric: Metric, *, after: int = -1) -> int | None:
    """The step of the best validation after step `after`, the latest one among ties; None where no validation has the metric."""
    validations = _validations(records, metric, after)
    return max(validations, key=lambda entry: (entry[1], entry[0]))[0] if validations else None


def is_out_of_patience(records: Sequence[Record], metric: Metric, patience: int, *, after: int = -1) -> bool:
    """Whether `patience` or more validations followed the best one after step `after`, the earliest among ties. 0 has no limit."""
    values = [value for _, value in _validations(records, metric, after)]
    return patience > 0 and bool(values) and len(values) - 1 - values.index(max(values)) >= patience


def _validations(records: Sequence[Record], metric: Metric, after: int) -> list[tuple[int, float]]:
    """(step, value) of every validation after a step that has the metric; the sign of the value makes the higher one the better one."""
    validations = [record for record in records if record["kind"] == "validation" and record["step"] > after]
    return [(record["step"], metric.sign * record[metric.key]) for record in validations if record.get(metric.key) is not None]


def last_calibration(records: Sequence[Record], columns: Sequence[str]) -> dict[str, float]:
    """The columns of the latest validation that the task has chosen from it; empty where there is no validation."""
    validations = [record for record in records if record["kind"] == "validation"]
    return {name: validations[-1][name] for name in columns if validations and name in validations[-1]}


def write_model(run: RunDir, config: ConfigDict, setup: TrainingSetup, state: TrainState, records: Sequence[Record]) -> None:
    """Write the bundle of a state, as `write_variables` does. All processes call this, and the first one writes."""
    variables = mesh.gather_to_host(eval_variables(state), setup.devices)
    if jax.process_index() == 0:
        write_variables(run, config, setup, int(state.step), variables, records)


def write_variables(run: RunDir, config: ConfigDict, setup: RunParts, step: int, variables: PyTree, records: Sequence[Record]) -> None:
    """Write the bundle of variables (NumPy) to RUN/model where their validation is the best one so far, else to RUN/last_model.

    While no validation has the metric, the last model is the best one.
    """
    metric = metric_of(config.train.best_metric, setup.task.metrics)
    is_best = best_step(records, metric, after=last_pruning_step(config)) in (None, step)
    calibration = last_calibration(records, tuple(setup.task.calibration))
    info = setup.train.info
    folder = run.model if is_best else run.last_model
    write_bundle(folder, config, classes=info.classes, channels=info.channels, step=step, variables=variables, calibration=calibration)
    if is_best:  # RUN/model is also the last model
        shutil.rmtree(run.last_model, ignore_errors=True)
