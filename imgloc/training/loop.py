"""The training loop: what happens at which step stands here to be read."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import schema as configs
from imgloc.data.batches import pipeline
from imgloc.data.batches.sampler import IndexSampler
from imgloc.devices import mesh
from imgloc.devices.multihost import ending_at_once
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.predictors import MODEL
from imgloc.inference import predict
from imgloc.interfaces import Task
from imgloc.runs.provenance import begin_session, note_session
from imgloc.runs.run_dir import RunDir, locked, state
from imgloc.training import checkpoint, step
from imgloc.training.best_model import best_step, is_out_of_patience, write_model
from imgloc.training.metric_queue import MetricQueue, NotFinite
from imgloc.training.metric_writer import MetricWriter
from imgloc.training.non_finite import check_finite, reporting_non_finite
from imgloc.training.preemption import StopRequest
from imgloc.training.progress import Progress
from imgloc.training.setup import TrainingSetup, begin_run, check_same_data, device_names, initial_state, last_state, layout, set_up

LOOKED_AT_ONCE = 64  # calls, where they are not logged for longer: what is not finite is found within twice as many
TRACED_STEPS = (10, 20)  # of a process: what --profile records, after compilation


def train(config: ConfigDict, workdir: str, *, stop: StopRequest, profile: bool = False) -> str:
    """Train a config in a run folder, from its start or from its last checkpoint.

    Returns 'already finished', 'finished', or 'stopped' (by request, with its state saved).
    Raises UserError for a folder that holds something else, NotFinite where the loss blows up.
    """
    began = time.monotonic()
    run = RunDir(Path(workdir))
    found = state(run, config)
    # All processes have looked at the folder before the first one writes into it.
    mesh.check_alike({"run folder": found, "fingerprint of the config": files.fingerprint(configs.to_json(config))})
    if found == "finished":
        return "already finished"
    setup = set_up(config)
    writes = jax.process_index() == 0  # of several processes the first one writes
    # Before anything is written: a warm start may not fit.
    fresh = initial_state(config, setup) if found == "new" else None
    if fresh is None:
        check_same_data(run, setup)

    training = config.train
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending_at_once(NotFinite))
        if writes:
            stack.enter_context(locked(run))
            if state(run, config) != found:
                raise UserError(f"another process has trained in '{run.path}' meanwhile; run the command again")
        if fresh is not None and writes:
            begin_run(run, config, setup)
        manager = stack.enter_context(checkpoint.open_manager(run.checkpoints))
        stack.enter_context(ending_at_once(NotFinite))  # within the manager, whose own end would wait for the other processes
        current = last_state(config, setup, manager) if fresh is None else fresh
        first = int(current.step)
        if writes:
            begin_session(run, first, device_names(), layout(setup.devices))
        stack.enter_context(reporting_non_finite(config, run, setup, manager))
        batches = stack.enter_context(contextlib.closing(open_batches(config, setup, first)))
        writer = stack.enter_context(MetricWriter(run, first, write=writes))
        progress = stack.enter_context(Progress(first, training.steps, training.batch_size, show=writes))
        trace = stack.enter_context(Trace(run.profile if profile else None))
        queue = MetricQueue(writer, progress, training.log_every)
        is_finite = jax.jit(step.is_finite)
        must_wait = mesh.must_wait(setup.devices)
        out_of_patience = is_out_of_patience(writer.records, training.best_metric, training.patience)
        progress.say(f"from step {first} of {training.steps}; the first step compiles, which may take a minute")

        done = saved = first
        for number in call_ends(first, training):
            if out_of_patience or mesh.agreed_to_stop(stop.requested, number):
                break
            trace.before(number - first, current)
            current, metrics = setup.train_step(current, *next(batches))
            if must_wait:
                jax.block_until_ready(metrics)

            last = number == training.steps
            evaluating = training.eval_every > 0 and (last or number % training.eval_every == 0)
            saving = last or evaluating or number % training.save_every == 0
            logging = number % training.log_every == 0
            queue.add(number, metrics, number - done)
            done = number
            first_call = done <= first + training.steps_per_call
            if saving or logging or first_call or len(queue) >= LOOKED_AT_ONCE:
                # What is not to be saved may still be computed: it is looked at the next time.
                queue.look(wait=saving or first_call)
                checkpoint.check(manager)
            if saving:
                check_finite(is_finite, current)
            if evaluating:
                means = validate(config, setup, current)
                writer.add(number, "validation", means)
                progress.say(f"step {number}  validation  {_brief(means, setup.task, training.best_metric)}")
                out_of_patience = is_out_of_patience(writer.records, training.best_metric, training.patience)
            if saving:
                writer.flush()
                write_model(run, config, setup, current, writer.records)  # before the checkpoint, from which a resume writes it again
                checkpoint.save(manager, current)
                saved = number
                if writes:
                    note_session(run, number, time.monotonic() - began)
            progress.advance(number)

        queue.look(wait=True)
        check_finite(is_finite, current)
        writer.flush()
        if done != saved:
            write_model(run, config, setup, current, writer.records)
            checkpoint.save(manager, current)
        checkpoint.wait(manager)
        finished = done == training.steps or out_of_patience
        if writes:
            note_session(run, done, time.monotonic() - began)
        if writes and finished:
            files.write_json(run.finished, {"last_step": done, "best_step": best_step(writer.records, training.best_metric) or done})
    return "finished" if finished else "stopped"


def call_ends(first: int, training: ConfigDict) -> Iterator[int]:
    """The last step of each compiled call after step `first`: at most `steps_per_call` on, and never past one where something is due."""
    due = [every for every in (training.log_every, training.save_every, training.eval_every) if every > 0]
    done = first
    while done < training.steps:
        done = min(done + training.steps_per_call, training.steps, *((done // every + 1) * every for every in due))
        yield done


def open_batches(config: ConfigDict, setup: TrainingSetup, first: int) -> Generator[tuple[Any, ...], None, None]:
    """What each compiled call after step `first` works on: this process's share, on its devices and prepared ahead."""
    data, training = config.data, config.train
    order = IndexSampler(setup.train, config.seed, training.batch_size, first, training.steps, jax.process_index(), jax.process_count())
    made = pipeline.BatchDataset(order, setup.spec, setup.augmentation)
    batches = pipeline.train_batches(made, threads=data.threads, workers=data.workers)
    if training.steps_per_call == 1:
        return pipeline.ahead(((batch,) for batch in batches), functools.partial(mesh.put_batch, mesh=setup.devices), data.prefetch)
    ends = [first, *call_ends(first, training)]
    calls = pipeline.in_calls(batches, np.diff(ends).tolist(), training.steps_per_call)
    return pipeline.ahead(calls, lambda call: (mesh.put_batches(call[0], setup.devices), call[1]), data.prefetch)


def validate(config: ConfigDict, setup: TrainingSetup, current: step.TrainState) -> dict[str, float]:
    """Means of every metric on the validation split."""
    predictor = predict.model_predict(step.eval_variables(current), setup.predict, setup.devices)
    batch_size = mesh.round_up(config.eval.batch_size, setup.devices)
    rows = predict.predict_rows(
        {MODEL: predictor}, setup.validation, setup.task, "validation",
        batch_size=batch_size, spec=setup.spec, threads=config.data.threads,
    )  # fmt: skip
    return scoring.means(rows[MODEL])


def _brief(means: dict[str, float], task: Task, best: str) -> str:
    names = [name for name in dict.fromkeys((*task.headline_metrics[:2], best)) if name in means]
    return "  ".join(f"{name} {means[name]:.4f}" for name in names)


class Trace:
    """A profile of TRACED_STEPS in a folder (open it with Perfetto or TensorBoard); None: no profile."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._stage: Literal["waiting", "running", "over"] = "waiting" if folder is not None else "over"

    def before(self, step_here: int, state: step.TrainState) -> None:
        """Before the call that ends with the step of this number, counted in this process; steps still being computed are waited for."""
        if self._stage == "waiting" and step_here >= TRACED_STEPS[0]:
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self._folder))
            self._stage = "running"
        elif self._stage == "running" and step_here >= TRACED_STEPS[1]:
            jax.block_until_ready(state)
            self.__exit__()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stage == "running":
            jax.profiler.stop_trace()
            self._stage = "over"
