"""An exported model beside the model that it was made from: on validation, and as the predictor of a run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imgloc.data.batches import pipeline
from imgloc.deployment.exported import ExportedModel
from imgloc.devices import mesh
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.predictors import MODEL
from imgloc.evaluation.statistics import Interval
from imgloc.evaluation.target import Target
from imgloc.inference import predict
from imgloc.inference.load import TrainedModel
from imgloc.interfaces import Metric
from imgloc.types import Batch, Outputs, Predict, Source, Uint8Array

EXPORTED = "exported"
CALIBRATION_IMAGES = 512


@dataclass(frozen=True)
class Comparison:
    """The scores of a model and of the file that was exported from it, on the same examples."""

    before: Mapping[str, Interval]
    after: Mapping[str, Interval]
    differences: Mapping[str, float]  # the largest one of each output
    metric: Metric  # that decides

    def check(self, tolerance: float | None) -> None:
        """Raises UserError where the metric falls by more than the tolerance; without one, below the interval of the model."""
        before, after, sign = self.before[self.metric.key], self.after[self.metric.key], self.metric.sign
        fall = sign * (before.mean - after.mean)
        allowed = sign * (before.mean - (before.low if sign > 0 else before.high)) if tolerance is None else tolerance
        if not fall <= allowed:  # NaN is refused
            numbers = f"{self.metric.key} is {after.mean:.4f} with the exported file and {before.mean:.4f} with the model"
            limit = f"more than {allowed:.4f}" + (", the interval" if tolerance is None else "")
            what = f"{numbers}, on {before.n:,} examples of validation: it falls by {fall:.4f}, {limit}"
            raise UserError(f"{what}; no file is written; pass a larger --tolerance or --no-compare")


@dataclass
class _Recorder:
    """The largest differences of outputs, over all batches."""

    largest: dict[str, float] = field(default_factory=dict)

    def compared(self, original: Predict, exported: Predict) -> Mapping[str, Predict]:
        """Both predictors; each batch is predicted once by each, and the outputs are compared."""
        found: dict[str, Outputs] = {}

        def first(batch: Batch) -> Outputs:
            found["before"] = original(batch)
            return found["before"]

        def second(batch: Batch) -> Outputs:
            after = exported(batch)
            used = np.asarray(batch.example_mask_b)
            for name, value in found["before"].items():
                difference = np.abs(np.asarray(value, np.float64)[used] - np.asarray(after[name], np.float64)[used])
                self.largest[name] = float(np.maximum(self.largest.get(name, 0.0), difference.max(initial=0.0)))  # keeps NaN
            return after

        return {MODEL: first, EXPORTED: second}


def compare_exported(trained: TrainedModel, exported: ExportedModel, target: Target) -> Comparison:
    """The scores of the model and of the exported file on a target, without slices."""
    config, recorder = trained.config, _Recorder()
    compiled = predict.compiled_predict(trained.module, trained.task, trained.devices, trained.dtype)
    original = predict.model_predict(trained.variables, compiled, trained.devices)
    rows = predict.predict_rows(
        recorder.compared(original, exported.predict()), target.source, trained.task, target.name,
        batch_size=mesh.round_up(config.eval.batch_size, trained.devices), spec=trained.spec, threads=config.data.threads,
    )  # fmt: skip
    samples = config.eval.bootstrap_samples
    before, after = (
        scoring.intervals(rows[name], trained.classes, trained.task, samples=samples, sliced=False) for name in (MODEL, EXPORTED)
    )
    return Comparison(before, after, recorder.largest, scoring.metric_of(trained.task.best_metric, trained.task.metrics))


def calibration_batches(source: Source, trained: TrainedModel, size: int) -> list[Uint8Array]:
    """Batches of images of a source, as the model reads them, for choosing the ranges of 8-bit numbers."""
    found: list[Uint8Array] = []
    batches = pipeline.eval_batches(source, size, trained.spec, threads=trained.config.data.threads, process_index=0, process_count=1)
    for _, batch in batches:
        images = np.asarray(batch.images_bxhxwxc)
        if np.asarray(batch.example_mask_b).all() or not found:
            found.append(images)
        if sum(map(len, found)) >= CALIBRATION_IMAGES:
            break
    return found


def rows_name(path: Path) -> str:
    """The name of the rows of an exported file: that of the file, in letters, digits and _."""
    return re.sub(r"[^A-Za-z0-9]+", "_", path.name).strip("_") or "exported"


def check_belongs(exported: ExportedModel, trained: TrainedModel) -> None:
    """Raises UserError unless the file was exported from this model."""
    if exported.description.bundle != trained.bundle.fingerprint:
        problem = f"'{exported.path}' was exported from another model ({exported.description.model}, step {exported.description.step})"
        raise UserError(f"{problem} than that of the run; give the run that it was exported from, or export this one")


def named_after(target: Target, exported: ExportedModel) -> Target:
    """The target with the name of the rows of an exported file."""
    joint = "_" if "@" in target.name else "@"
    return dataclasses.replace(target, name=f"{target.name}{joint}{rows_name(exported.path)}")
