"""The metrics of a model on the validation split, by which the best one is chosen."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import PyTree
from ml_collections import ConfigDict

from imgloc.devices import mesh
from imgloc.evaluation import scoring
from imgloc.evaluation.predictors import MODEL
from imgloc.inference import predict
from imgloc.interfaces import Task
from imgloc.training.setup import RunParts


def validate(config: ConfigDict, setup: RunParts, compiled: predict.Compiled, variables: PyTree) -> dict[str, float]:
    """The value of every metric on the validation split, `images`, how many there are, and the calibration that the task chooses.

    `variables` lie on the devices, and `compiled` predicts with them.
    """
    predictor = predict.model_predict(variables, compiled, setup.devices)
    batch_size = mesh.round_up(config.eval.batch_size, setup.devices)
    rows = predict.predict_rows(
        {MODEL: predictor}, setup.validation, setup.task, "validation",
        batch_size=batch_size, spec=setup.spec, threads=config.data.threads,
    )  # fmt: skip
    calibration = setup.task.calibrate(rows[MODEL])
    calibrated = [setup.task.with_calibration(row, calibration) for row in rows[MODEL]]
    return {**scoring.means(calibrated, setup.task.metrics), "images": len(calibrated), **calibration}


def in_brief(means: Mapping[str, float], task: Task, best_metric: str) -> str:
    """The headline metrics and the metric that chooses the best model, in one line."""
    names = [name for name in dict.fromkeys((*task.headline_metrics[:2], best_metric)) if name in means]
    return "  ".join(f"{name} {means[name]:.4f}" for name in names)
