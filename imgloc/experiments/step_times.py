"""The times of training steps of several configs, measured in turns in one process."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from imgloc.devices import runtime
from imgloc.experiments.declared import Json
from imgloc.runs.provenance import describe_environment, git_commit
from imgloc.sweeps.shares import usable_cores
from imgloc.training import loop, setup, step

SECONDS = 1.0  # of a turn


def step_times(configs: Mapping[str, ConfigDict], rounds: int = 7, *, operations: bool = False) -> Json:
    """Return the milliseconds of a training step of each config, its batches made meanwhile as in training, and its parameters.

    Configs are complete. All run in one process, in turns of about a second; times are medians over the turns. With `operations`,
    also the floating-point operations of a prediction per image, by XLA's analysis of the compiled program. XLA counts the body of
    a loop once, so the count is too low for recurrent models.
    """
    runtime.prepare()
    arms: Json = {}
    turns: dict[str, Callable[[], float]] = {}
    for title, config in configs.items():
        config.train.steps = 10**5  # more than are timed, so that batches do not end
        parts = setup.set_up(config)
        state = setup.initial_state(config, parts)
        arms[title] = {"parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params))}
        if operations:
            images = np.zeros((config.train.batch_size, *parts.spec.shape), np.uint8)
            predict: Any = parts.predict  # a jitted function
            cost = predict.lower(step.eval_variables(state), images).compile().cost_analysis()
            arms[title]["operations"] = round(cost["flops"] / config.train.batch_size)
        turns[title] = _timer(parts.train_step, state, loop.open_batches(config, parts, 0))
    times: dict[str, list[float]] = {title: [] for title in turns}
    for _ in range(rounds + 1):
        for title, turn in turns.items():
            times[title].append(turn())
    for title, values in times.items():  # the first turn compiles
        arms[title] |= {"ms": round(statistics.median(values[1:]), 3), "lowest": round(min(values[1:]), 3)}
    where = describe_environment()
    return {
        **git_commit(), "machine": where["machine"], "jax": where["packages"]["jax"], "python": where["python"],
        "of_cores": len(usable_cores()) or os.cpu_count(), "arms": arms,
    }  # fmt: skip


def _timer(train_step: Callable[..., Any], state: object, batches: Iterator[tuple[Any, ...]]) -> Callable[[], float]:
    """A function that trains for about a second and returns the milliseconds per step."""
    holder = [state]

    def turn() -> float:
        began, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - began < SECONDS:
            batch, *count = next(batches)  # a call of several steps has their number
            holder[0], metrics = train_step(holder[0], batch, *count)
            jax.block_until_ready((holder[0], metrics))
            steps += int(count[0]) if count else 1
        return (time.perf_counter() - began) * 1e3 / steps

    return turn
