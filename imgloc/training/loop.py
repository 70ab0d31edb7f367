"""The training loop: `training_steps` shows what happens at which step."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import jax
import numpy as np
from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import schema as configs
from imgloc.data.batches import pipeline
from imgloc.data.batches.sampler import IndexSampler
from imgloc.devices import mesh
from imgloc.devices.multihost import exiting_on_error
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.inference.load import find_bundle
from imgloc.runs import run_dir
from imgloc.runs.provenance import begin_session, update_session
from imgloc.runs.run_dir import RunDir
from imgloc.training import checkpoint
from imgloc.training.best_model import best_step, is_out_of_patience, write_model
from imgloc.training.distillation import check_same_teacher
from imgloc.training.metric_queue import MetricQueue, NonFiniteError
from imgloc.training.metric_writer import MetricWriter
from imgloc.training.non_finite import check_finite, reporting_non_finite
from imgloc.training.preemption import Stop
from imgloc.training.profiler import Profiler
from imgloc.training.progress import Progress
from imgloc.training.pruning import last_pruning_step
from imgloc.training.setup import (
    Opened,
    TrainingSetup,
    begin_run,
    check_same_data,
    device_names,
    initial_state,
    last_state,
    mesh_layout,
    set_up,
)
from imgloc.training.step import TrainState, all_finite, eval_variables
from imgloc.training.validation import in_brief, validate
from imgloc.training.warm_start import check_same_weights

T = TypeVar("T")
Outcome: TypeAlias = Literal["already finished", "finished", "stopped"]
State: TypeAlias = TrainState | Callable[[], TrainState]  # or a function that returns it: states of several runs may be in one array
Result: TypeAlias = tuple[State, Mapping[str, Any]]  # of a compiled call: the state and the metrics
Steps: TypeAlias = Generator["Call", Result, T]
MAX_PENDING_CALLS = 64  # with unchecked metrics: a loss that is not finite is detected within twice as many


class Call(NamedTuple):
    """A compiled call that a run is about to make."""

    setup: TrainingSetup
    state: State
    arguments: tuple[Any, ...]  # after the state


def train(
    config: ConfigDict,
    workdir: str,
    *,
    stop: Stop,
    profile: bool = False,
    quiet: bool = False,
    stop_after: int = 0,
    opened: Opened | None = None,
) -> Outcome:
    """Train a config in a run folder, from the start or from the latest checkpoint.

    Returns 'stopped' where `stop` was requested, and after the step `stop_after` unless it is 0; the state is then saved. `quiet` prints
    no progress. `opened` shares programs and data with other runs of this process.
    Raises UserError for a folder that contains anything else, and NonFiniteError where the loss is not finite.
    """
    run = training_steps(config, workdir, alone, stop=stop, profile=profile, quiet=quiet, stop_after=stop_after, opened=opened)
    try:
        while True:
            next(run)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def alone(call: Call) -> Steps[Result]:
    """Make a compiled call at once."""
    yield from ()
    result: Result = call.setup.train_step(call.state, *call.arguments)
    return result


def whole(state: State) -> TrainState:
    """The state itself, where it is a function that returns it."""
    return state() if callable(state) else state


def training_steps(
    config: ConfigDict,
    workdir: str,
    advance: Callable[[Call], Steps[Result]],
    *,
    stop: Stop,
    profile: bool = False,
    quiet: bool = False,
    stop_after: int = 0,
    opened: Opened | None = None,
    place: Mapping[str, int] = MappingProxyType({}),
) -> Steps[Outcome]:
    """The loop of `train`, as a generator that yields what `advance` yields, so that several runs can be trained together.

    `advance` makes a compiled call. `place` is recorded beside the layout of the devices.
    """
    start_time = time.monotonic()
    run = RunDir(Path(workdir))
    run_state = run_dir.run_state(run, config)
    # All processes have read the folder before the first one writes to it.
    mesh.check_same_on_all_processes({"run folder": run_state, "fingerprint of the config": files.fingerprint(configs.to_json(config))})
    if run_state == "finished":
        find_bundle(run.path, "best")
        return "already finished"
    setup = set_up(config, opened)
    is_writer = jax.process_index() == 0  # only the first of several processes writes files
    # Before anything is written, because a warm start may not fit.
    new_state = initial_state(config, setup) if run_state == "new" else None
    if new_state is None:
        check_same_data(run, setup)
        check_same_teacher(run, config)

    training = config.train
    with contextlib.ExitStack() as stack:
        stack.enter_context(exiting_on_error(NonFiniteError))
        if is_writer:
            stack.enter_context(run_dir.lock_run(run))
            if run_dir.run_state(run, config) != run_state:
                raise UserError(f"another process trained in '{run.path}' at the same time; run the command again")
        if new_state is not None and is_writer:
            begin_run(run, config, setup)
        manager = stack.enter_context(checkpoint.open_manager(run.checkpoints))
        stack.enter_context(exiting_on_error(NonFiniteError))  # inside the manager, whose exit would wait for the other processes
        if new_state is None and manager.latest_step() is None:
            check_same_weights(run, config)
        current = last_state(config, setup, manager) if new_state is None else new_state
        state: State = current
        first = int(current.step)
        if is_writer:
            begin_session(run, first, device_names(), {**mesh_layout(setup.devices), **place})
        stack.enter_context(reporting_non_finite(config, run, setup, manager))
        batches = stack.enter_context(contextlib.closing(open_batches(config, setup, first)))
        intervals = {"train": training.log_every, "validation": training.eval_every}
        writer = stack.enter_context(MetricWriter(run, first, intervals=intervals, write=is_writer, loggers=config.loggers))
        progress = stack.enter_context(Progress(first, training.steps, training.batch_size, show=is_writer and not quiet))
        profiler = stack.enter_context(Profiler(run.profile if profile else None))
        queue = MetricQueue(writer, progress, training.log_every)
        compiled_all_finite = jax.jit(all_finite)
        best_metric = scoring.metric_of(training.best_metric, setup.task.metrics)
        must_wait = mesh.must_block(setup.devices)
        pruned = last_pruning_step(config)  # earlier models do not have their final sparsity
        is_over = functools.partial(is_out_of_patience, metric=best_metric, patience=training.patience, after=pruned)
        out_of_patience = is_over(writer.records)
        progress.write(f"from step {first} of {training.steps}; the first step compiles, which may take a minute")

        done = saved = first
        for number in call_ends(first, training):
            if out_of_patience or 0 < stop_after <= done or mesh.should_stop(stop.requested, number):
                break
            profiler.before_step(number - first, state)
            state, metrics = yield from advance(Call(setup, state, next(batches)))
            if must_wait:
                jax.block_until_ready(metrics)

            last = number == training.steps
            evaluating = training.eval_every > 0 and (last or number % training.eval_every == 0)
            saving = last or evaluating or number % training.save_every == 0
            logging = number % training.log_every == 0
            queue.add(number, metrics, number - done)
            done = number
            first_call = done <= first + training.steps_per_call
            if saving or logging or first_call or len(queue) >= MAX_PENDING_CALLS or progress.is_due():
                # The devices may still be computing the latest steps: unless these are saved, the next drain checks them.
                queue.drain(wait=saving or first_call)
                checkpoint.check_for_errors(manager)
            if saving:
                state = current = whole(state)
                check_finite(compiled_all_finite, current)
            if evaluating:
                means = validate(config, setup, setup.predict, eval_variables(current))
                writer.add(number, "validation", means)
                progress.write(f"step {number}  validation  {in_brief(means, setup.task, training.best_metric)}")
                if means.get("non_finite"):
                    share = f"{means['non_finite']:.1%} of the validation images"
                    progress.write(f"step {number}  the outputs for {share} contain NaN or infinity; they count as wrong")
                out_of_patience = is_over(writer.records)
            if saving:
                writer.flush()
                write_model(run, config, setup, current, writer.records)  # before the checkpoint: a resume then writes it again
                checkpoint.save(manager, current)
                saved = number
                if is_writer:
                    update_session(run, number, time.monotonic() - start_time)
            progress.advance(number)

        queue.drain(wait=True)
        current = whole(state)
        check_finite(compiled_all_finite, current)
        writer.flush()
        if done != saved:
            write_model(run, config, setup, current, writer.records)
        checkpoint.save(manager, current)
        checkpoint.wait_until_saved(manager)
        is_finished = done == training.steps or out_of_patience
        if is_writer:
            update_session(run, done, time.monotonic() - start_time)
        if is_writer and is_finished:
            files.write_json(run.finished, {"last_step": done, "best_step": best_step(writer.records, best_metric, after=pruned) or done})
    return "finished" if is_finished else "stopped"


def call_ends(first: int, training: ConfigDict) -> Iterator[int]:
    """The last step of each compiled call after step `first`.

    A call has at most `steps_per_call` steps and ends at every step that is logged, evaluated or saved.
    """
    intervals = [every for every in (training.log_every, training.save_every, training.eval_every) if every > 0]
    done = first
    while done < training.steps:
        done = min(done + training.steps_per_call, training.steps, *((done // every + 1) * every for every in intervals))
        yield done


def open_batches(config: ConfigDict, setup: TrainingSetup, first: int) -> Generator[tuple[Any, ...], None, None]:
    """The arguments of each compiled call after step `first`: this process's share of the batches, put onto its devices in advance."""
    data, training = config.data, config.train
    sampler = IndexSampler(setup.train, config.seed, training.batch_size, first, training.steps, jax.process_index(), jax.process_count())
    dataset = pipeline.BatchDataset(sampler, setup.spec, setup.augmentation)
    batches = pipeline.train_batches(dataset, threads=data.threads, workers=data.workers)
    if training.steps_per_call == 1:
        return pipeline.prefetch(((batch,) for batch in batches), functools.partial(mesh.put_batch, mesh=setup.devices), data.prefetch)
    ends = [first, *call_ends(first, training)]
    calls = pipeline.group_calls(batches, np.diff(ends).tolist(), training.steps_per_call)
    return pipeline.prefetch(calls, lambda call: (mesh.put_batches(call[0], setup.devices), call[1]), data.prefetch)
