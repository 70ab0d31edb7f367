"""Fits a model without gradients: each candidate of its searched fields is fitted and scored on validation, and the best one is kept."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.config.task import make_task
from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import collate
from imgloc.data.batches.sampler import IndexSampler
from imgloc.devices import mesh
from imgloc.errors import UserError, reason
from imgloc.evaluation import scoring
from imgloc.inference import predict
from imgloc.inference.bundle import named
from imgloc.inference.load import find_bundle
from imgloc.interfaces import Fit, Task
from imgloc.nn.apply import compute_dtype
from imgloc.nn.fitted import COLLECTION
from imgloc.randomness import generator
from imgloc.runs import run_dir
from imgloc.runs.provenance import begin_session, update_session
from imgloc.runs.run_dir import RunDir
from imgloc.training.best_model import best_step, write_variables
from imgloc.training.checks import check_predictions, example_with_box
from imgloc.training.metric_writer import MetricWriter
from imgloc.training.preemption import Stop
from imgloc.training.setup import begin_run, check_same_data, device_names, mesh_layout
from imgloc.training.validation import in_brief, validate
from imgloc.types import Augmentation, Batch, InputSpec, Source

Candidate = Mapping[str, tuple[Any]]  # the fields that are searched, each with its only value


@dataclass(frozen=True)
class FitSetup:
    """The objects that a config with a fitted model names, built and checked."""

    train: Source
    validation: Source
    spec: InputSpec
    augmentation: Augmentation | None
    task: Task
    devices: Mesh
    fit: Fit
    model: nn.Module
    candidates: tuple[Candidate, ...]


def set_up(config: ConfigDict) -> FitSetup:
    """Build everything that a config names. Raises UserError for parts that do not fit together; writes nothing."""
    fit, name = build.fit_of(config.model.name), config.model.name
    if fit is None:
        raise UserError(f"model '{name}' has no FIT; see docs/extending")
    if jax.process_count() > 1:
        raise UserError(f"model '{name}' is fitted by one process, got {jax.process_count()}; train it without --distributed")
    devices = mesh.make_mesh(data=config.devices.data, fsdp=config.devices.fsdp)
    train, validation = (build.make_source(config.data, split, config.seed) for split in ("train", "validation"))
    spec = build.make_input_spec(config.data, train.info.channels)
    classes = len(train.info.classes)
    task, model = make_task(config), build.make_model(config.model, classes)
    augmentation = build.make_augmentation(config.data.augment, spec)
    found = candidates(config, fit)
    first = build.make_model(candidate_config(config, found[0], {}).model, classes)
    variables = predict.abstract_variables(first, spec.shape, name)
    example = example_with_box(validation)
    batch = collate([example], config.train.batch_size, spec)
    try:
        outputs = predict.abstract_outputs(first, variables, spec.shape, config.train.batch_size)
    except UserError:
        raise
    except Exception as error:  # a model may raise any error for unexpected inputs
        raise UserError(f"model '{name}' fails for images {spec.shape}: {reason(error, lines=1)}") from error
    check_predictions(config, task, outputs, example, batch, classes)
    return FitSetup(train, validation, spec, augmentation, task, devices, fit, model, found)


def candidates(config: ConfigDict, fit: Fit) -> tuple[Candidate, ...]:
    """Every combination of the values of the searched fields, in order.

    Raises UserError for a field without values or with equal ones, and for a value of a field that the fit decides.
    """
    defaults = build.model_fields(build.model_class(config.model.name))
    for field in fit.decides:
        if tuple(config.model[field]) != tuple(defaults[field]):
            raise UserError(f"model.{field} is decided by the fit, got {config.model[field]}; leave it out")
    for field in fit.search:
        values = config.model[field]
        if not values or len(set(values)) < len(values):
            raise UserError(f"model.{field} must be different values to choose from, such as (0.1, 1.0), got {values}")
    combinations = itertools.product(*(config.model[field] for field in fit.search))
    return tuple({field: (value,) for field, value in zip(fit.search, values, strict=True)} for values in combinations)


def candidate_config(config: ConfigDict, candidate: Candidate, decided: Mapping[str, Any]) -> ConfigDict:
    """The config with the values of a candidate, and with the fields that its fit has decided."""
    config = configs.copied(config)
    config.model = ConfigDict({**config.model.to_dict(), **candidate, **decided})
    return config


def example_count(config: ConfigDict, setup: FitSetup) -> int:
    """The number of training examples of a fit: those of all steps, but no image twice unless it is augmented."""
    count: int = config.train.steps * config.train.batch_size
    return count if setup.train.info.endless or setup.augmentation is not None else min(count, len(setup.train))


def training_batches(config: ConfigDict, setup: FitSetup) -> Generator[Batch, None, None]:
    """The batches that training by gradients reads in `train.steps` steps, up to `example_count`; the last one may be smaller."""
    count, size = example_count(config, setup), config.train.batch_size
    sampler = IndexSampler(setup.train, config.seed, size, 0, math.ceil(count / size))
    dataset = pipeline.BatchDataset(sampler, setup.spec, setup.augmentation)
    with contextlib.closing(pipeline.train_batches(dataset, threads=config.data.threads, workers=config.data.workers)) as batches:
        for start, batch in zip(range(0, count, size), batches, strict=True):
            left = count - start
            yield batch if left >= size else jax.tree.map(lambda array, left=left: array[:left], batch)


def train(
    config: ConfigDict, workdir: str, *, stop: Stop, profile: bool = False, quiet: bool = False
) -> Literal["already finished", "finished", "stopped"]:
    """Fit the candidates of a config in a run folder, from the first one or after those that are finished.

    Returns 'stopped' where `stop` was requested; the candidates that are finished are then saved. `quiet` prints no progress.
    Raises UserError for a folder that contains anything else.
    """
    start_time = time.monotonic()
    run = RunDir(Path(workdir))
    if profile:
        raise UserError(f"--profile traces training steps, but model '{config.model.name}' is fitted without steps; leave it out")
    run_state = run_dir.run_state(run, config)
    if run_state == "finished":
        find_bundle(run.path, "best")
        return "already finished"
    setup = set_up(config)
    best_metric = scoring.metric_of(config.train.best_metric, setup.task.metrics)
    report = functools.partial(_report, quiet=quiet)
    with contextlib.ExitStack() as stack:
        stack.enter_context(run_dir.lock_run(run))
        if run_dir.run_state(run, config) != run_state:
            raise UserError(f"another process trained in '{run.path}' at the same time; run the command again")
        if run_state == "new":
            begin_run(run, config, setup)
        else:
            check_same_data(run, setup)
        writer = stack.enter_context(MetricWriter(run, len(setup.candidates), loggers=config.loggers))
        done = max((record["step"] for record in writer.records if record["kind"] == "validation"), default=0)
        begin_session(run, done, device_names(), mesh_layout(setup.devices))
        left = list(enumerate(setup.candidates, start=1))[done:]
        if left and not stop.requested:
            prepared = _prepare(config, setup, report)
        for number, candidate in left:
            if stop.requested:
                break
            began = time.monotonic()
            chosen, variables, means = fit_candidate(config, setup, candidate, prepared)
            writer.add(number, "train", {field: value for field, (value,) in candidate.items() if isinstance(value, (int, float))})
            writer.add(number, "validation", means)
            # Before the records: a resume fits a candidate without a record again, and writes the same model.
            write_variables(run, chosen, setup, number, variables, writer.records)
            writer.flush()
            done = number
            update_session(run, number, time.monotonic() - start_time)
            values = "".join(f"  {field}={value}" for field, (value,) in candidate.items())
            brief = in_brief(means, setup.task, config.train.best_metric)
            report(f"candidate {number} of {len(setup.candidates)}{values}  {time.monotonic() - began:.1f} s  validation  {brief}")
        is_finished = done == len(setup.candidates)
        update_session(run, done, time.monotonic() - start_time)
        if is_finished:
            files.write_json(run.finished, {"last_step": done, "best_step": best_step(writer.records, best_metric) or done})
    return "finished" if is_finished else "stopped"


def _prepare(config: ConfigDict, setup: FitSetup, report: Callable[[str], None]) -> Any:
    """What all candidates are fitted on, from the training batches."""
    began = time.monotonic()
    with contextlib.closing(training_batches(config, setup)) as batches:
        prepared = setup.fit.prepare(setup.model, batches)
    count, asked = example_count(config, setup), config.train.steps * config.train.batch_size
    once = f", each once, where train.steps x train.batch_size is {asked:,}" if count < asked else ""
    report(f"{count:,} training examples are read{once}  {time.monotonic() - began:.1f} s")
    return prepared


def fit_candidate(config: ConfigDict, setup: FitSetup, candidate: Candidate, prepared: Any) -> tuple[ConfigDict, Any, dict[str, float]]:
    """The config of a candidate's bundle, its variables (NumPy), and its metrics on validation.

    The generator is the same for each candidate, so that none depends on which others there are.
    """
    classes = len(setup.train.info.classes)
    before = build.make_model(candidate_config(config, candidate, {}).model, classes)
    try:
        fitted = setup.fit.fit(before, prepared, generator(config.seed, "fit", 0))
    except ModuleNotFoundError as error:
        install = "pip install 'imgloc[classical]'" if error.name == "sklearn" else "install it"
        raise UserError(f"the fit of model '{config.model.name}' needs the package {error.name}; {install}") from error
    except (ValueError, np.linalg.LinAlgError) as error:  # of scikit-learn and NumPy, for data that a method cannot be fitted on
        check = "check the data with imgloc data check, or raise train.steps"
        raise UserError(f"the fit of model '{config.model.name}' fails for these data: {reason(error, lines=1)}; {check}") from error
    chosen = candidate_config(config, candidate, fitted.fields)
    model = build.make_model(chosen.model, classes)
    variables = {COLLECTION: jax.tree.map(np.asarray, dict(fitted.variables))}
    _check_fitted(config.model.name, variables, predict.abstract_variables(model, setup.spec.shape, config.model.name))
    compiled = predict.compiled_predict(model, setup.task, setup.devices, compute_dtype(config.train.dtype))
    placed = jax.device_put(variables, mesh.state_sharding(variables, setup.devices))
    return chosen, variables, validate(config, setup, compiled, placed)


def _check_fitted(name: str, variables: Any, expected: Any) -> None:
    """Raises UserError where a fit did not return the variables that the model needs, or one of them is not finite."""
    got, needed = ({path: (leaf.shape, leaf.dtype) for path, leaf in named(tree).items()} for tree in (variables, expected))
    for path in sorted(got.keys() | needed.keys()):
        if got.get(path) != needed.get(path):
            raise UserError(f"the fit of model '{name}' returned {got.get(path)} for variable '{path}', the model needs {needed.get(path)}")
    for path, leaf in named(variables).items():
        if not math.isfinite(float(np.sum(np.abs(leaf), dtype=np.float64))):
            raise UserError(f"the fit of model '{name}' returned NaN or infinity in '{path}'; check the data with imgloc data check")


def _report(line: str, *, quiet: bool) -> None:
    if not quiet:
        sys.stderr.write(f"{line}\n")
