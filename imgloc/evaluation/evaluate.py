"""From a trained run to saved rows, images for the gallery and results.json."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.config.task import make_task
from imgloc.data import summary as summaries
from imgloc.data.batches import pipeline
from imgloc.data.relabelled import match_classes
from imgloc.deployment.exported import ExportedModel
from imgloc.devices import mesh
from imgloc.devices.multihost import exiting_on_error
from imgloc.errors import UserError
from imgloc.evaluation import examples, predictors, scoring
from imgloc.evaluation.exported import check_belongs
from imgloc.evaluation.statistics import Interval
from imgloc.evaluation.target import Target
from imgloc.inference import predict
from imgloc.inference.load import TrainedModel, find_bundle, load_model
from imgloc.runs import partial_predictions, run_dir
from imgloc.runs.prediction_table import read_meta, read_rows, write_rows
from imgloc.runs.provenance import command_line, git_commit
from imgloc.runs.recorded_data import read_data
from imgloc.runs.run_dir import RunDir
from imgloc.types import DICT_OUTPUTS, Predict


@dataclass(frozen=True)
class Evaluation:
    """The model and the data of one evaluation."""

    run: RunDir
    config: ConfigDict
    target: Target
    trained: TrainedModel
    meta: dict[str, Any]
    exported: ExportedModel | None = None  # the file that predicts instead of the model
    compiled: predict.Compiled | None = None  # the prediction of the model, where the process has compiled it already

    @property
    def predictor_names(self) -> tuple[str, ...]:
        """The names of the predictors of the task, the model first."""
        return predictors.predictor_names(self.trained.bundle.task)

    @functools.cached_property
    def outputs(self) -> frozenset[str]:
        """The names of the outputs of the model."""
        return frozenset(predict.abstract_outputs(self.trained.module, self.trained.variables, self.trained.spec.shape))


def evaluate(
    run: RunDir,
    config: ConfigDict,
    target: Target,
    *,
    which: str = "best",
    partial: Sequence[str] = (),
    compiled: predict.Compiled | None = None,
    exported: ExportedModel | None = None,
) -> dict[str, dict[str, Interval]]:
    """Score the model of a run, or a file exported from it, and the baselines on a target; rows that are up to date are reused.

    Writes the rows, the images of the gallery and results.json. For a model with partial predictions it writes those of some
    examples of the gallery, and of the examples with the ids `partial`. Returns {predictor: {metric: interval}}. `compiled` is the
    function of `predict.compiled_predict` for the model of the run, where the process has one already.
    Of several processes each predicts its share, and the first one writes and returns; the others return {}.
    """
    files.check_writable(run.path)
    run_dir.refuse_links(run)
    evaluation = dataclasses.replace(_open(run, config, target, which, exported), compiled=compiled)
    chosen = examples.find(evaluation.target, evaluation.outputs, evaluation.trained.name, partial) if partial else {}
    current = {name: _is_current(evaluation, name) for name in evaluation.predictor_names}
    mesh.barrier("rows were read")  # before the first process writes new ones
    with exiting_on_error():
        if not all(current.values()):
            if jax.process_index() == 0:
                _drop_results(run, [_key(target, name) for name in evaluation.predictor_names])
            _write_all_rows(evaluation)
        if chosen:
            examples.write_partial_predictions(run, target, evaluation.trained, evaluation.meta, dict.fromkeys(chosen, "chosen"), chosen)
    if jax.process_index() > 0:
        return {}

    task, classes = make_task(config), evaluation.trained.classes
    intervals = {}
    for name in evaluation.predictor_names:
        rows = read_rows(run.rows(target.name, name), expected=evaluation.meta)
        intervals[name] = scoring.intervals(rows, classes, task, samples=config.eval.bootstrap_samples)
    scored = {_key(target, name): scoring.as_json(scores) for name, scores in intervals.items()}
    with files.locked(run.results_lock):  # another process may score another split
        files.write_json(run.results, run.known_results() | scored)
    return intervals


def _open(run: RunDir, config: ConfigDict, target: Target, which: str, exported: ExportedModel | None) -> Evaluation:
    devices = mesh.evaluation_mesh(config.devices.fsdp)
    trained = load_model(find_bundle(run.path, which), devices, dict(target.fields))
    if exported is not None:
        check_belongs(exported, trained)
    meta = {
        "config": configs.fingerprint(config),
        "checkpoint": which,
        "step": trained.bundle.step,
        "data": target.source.fingerprint,
        "split": target.name,
        "fields": dict(target.fields) or None,  # None is compared too: rows with other fields are not the rows of the run
    }
    if exported is not None:
        meta["predictor"] = exported.description.sha256
    return Evaluation(run, config, target, trained, meta, exported)


def _key(target: Target, predictor: str) -> str:
    """The key of a predictor in results.json."""
    return target.name if predictor == predictors.MODEL else f"{target.name}/{predictor}"


def _drop_results(run: RunDir, keys: Collection[str]) -> None:
    """Remove results whose rows are about to be written, so that new rows never have old results."""
    with files.locked(run.results_lock):
        known = run.known_results()
        if any(key in known for key in keys):
            files.write_json(run.results, {key: value for key, value in known.items() if key not in keys})


def _is_current(evaluation: Evaluation, predictor: str) -> bool:
    path = evaluation.run.rows(evaluation.target.name, predictor)
    try:
        read_rows(path, expected=evaluation.meta)
        if predictor == predictors.MODEL:
            partial_predictions.check_files(evaluation.run, evaluation.target.name)
    except UserError:
        return False
    return predictor != predictors.MODEL or (read_meta(path) or {}).get("outputs") == _row_outputs(evaluation)


def _row_outputs(evaluation: Evaluation) -> list[str]:
    return sorted(evaluation.outputs.difference(DICT_OUTPUTS))


def _write_all_rows(evaluation: Evaluation) -> None:
    run, config, target, trained = evaluation.run, evaluation.config, evaluation.target, evaluation.trained
    every = {
        predictors.MODEL: _predictor(evaluation),
        **predictors.baseline_predictors(trained.bundle.task, _fitted_baselines(run, config)),
    }
    rows_of = predict.predict_rows(
        every, target.source, trained.task, target.name, threads=config.data.threads,
        batch_size=mesh.round_up(config.eval.batch_size, trained.devices), spec=trained.spec,
    )  # fmt: skip
    task = make_task(config)
    for name in rows_of.keys() - {predictors.MODEL}:  # the calibration is that of the model
        rows_of[name] = [task.with_calibration(row, task.calibration) for row in rows_of[name]]
    examples.write_gallery(run, target, trained, evaluation.meta, evaluation.outputs, rows_of[predictors.MODEL], config.eval.gallery)
    if jax.process_index() > 0:
        return
    skipped = pipeline.finite_size(target.source) - len(rows_of[predictors.MODEL])
    written_by = {"skipped": skipped, "command": command_line(), **git_commit()}
    for name, rows in rows_of.items():
        own = {"outputs": _row_outputs(evaluation)} if name == predictors.MODEL else {}
        write_rows(run.rows(target.name, name), rows, {**evaluation.meta, **own, **written_by})


def _predictor(evaluation: Evaluation) -> Predict:
    """The model, or the exported file."""
    trained = evaluation.trained
    if evaluation.exported is not None:
        return evaluation.exported.predict()
    compiled = evaluation.compiled or predict.compiled_predict(trained.module, trained.task, trained.devices, trained.dtype)
    return predict.model_predict(trained.variables, compiled, trained.devices)


def _fitted_baselines(run: RunDir, config: ConfigDict) -> Mapping[str, Any]:
    """What the baselines of the task learn from the training split; it is read again only where its data has changed."""
    source = match_classes(build.make_source(config.data, "train", config.seed), read_data(run).classes)
    known = run.read(run.baselines) if run.baselines.is_file() else {}
    if known.get("data") != source.fingerprint or set(known.get("fitted", {})) != set(predictors.baselines(config.task)):
        truths = [truth for truth in summaries.truths(source, pipeline.sample_indices(source)) if truth is not None]
        fitted = predictors.fit_baselines(config.task, truths, len(source.info.classes))
        known = {"data": source.fingerprint, "fitted": fitted}
        if jax.process_index() == 0:
            files.write_json(run.baselines, known)
    fitted_now: Mapping[str, Any] = known["fitted"]
    return fitted_now
