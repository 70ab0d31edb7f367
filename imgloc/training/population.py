"""Populations: runs that differ only in numbers and seeds, trained together by one compiled program.

The states of all members are stacked on a leading axis, which is sharded over the devices. Each member is a run of its own, with the loop,
the folder, the checkpoints and the order of examples that it has alone. The vectorized program rounds differently, so a member has nearly
the numbers of its run alone, not its bits. A run records its place in its population, and resumes there with the same bits.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PyTree
from ml_collections import ConfigDict

from imgloc.devices import mesh, runtime
from imgloc.runs.run_dir import RunDir
from imgloc.training import loop
from imgloc.training.loop import Call, Outcome, Result, Steps, whole
from imgloc.training.preemption import Stop
from imgloc.training.setup import Opened, TrainingSetup, initial_state, set_up
from imgloc.training.step import TrainState

TRIAL_STEPS = 3  # compiled calls that `pays` times on each side, after one that compiles
MIN_GAIN = 1.05  # how many times faster a population must be


@dataclass(frozen=True)
class Member:
    """A run of a population."""

    config: ConfigDict
    workdir: Path
    place: int  # in the stacked state


class Together(NamedTuple):
    """The compiled functions of a population."""

    stack: Callable[..., PyTree]  # trees of the members -> one tree with a leading axis
    advance: Callable[..., tuple[TrainState, PyTree]]  # (stacked numbers, stacked states, arguments of each member)
    pick: Callable[[TrainState, Any], TrainState]  # (stacked states, place) -> the state of a member
    merge: Callable[..., TrainState]  # (mask [n], states where it is True, states elsewhere), all stacked
    trials: dict[int, bool]  # whether a population of a size was faster, see `pays`


def recorded_place(workdir: Path) -> tuple[int, int] | None:
    """The size of the population in which a run was last trained, and its place there; None for a run that was trained alone."""
    run = RunDir(workdir)
    sessions = run.read(run.provenance).get("sessions", []) if run.provenance.is_file() else []
    layout = sessions[-1].get("layout", {}) if sessions else {}
    return (layout["population"], layout["member"]) if "population" in layout else None


def possible_sizes(config: ConfigDict, largest: int) -> Iterator[int]:
    """The sizes that a population of a config may have: multiples of the number of devices, which are those of one process."""
    devices = mesh.make_mesh(data=config.devices.data, fsdp=config.devices.fsdp)
    if jax.process_count() == 1 and devices.shape["fsdp"] == 1:
        yield from (size for size in range(2, largest + 1) if size % devices.size == 0)


def train(members: Sequence[Member], size: int, *, stop: Stop, opened: Opened) -> list[Outcome | Exception]:
    """Train runs of one program together, each from its latest checkpoint; returns how each ended, or its error.

    `size` is that of the population. Places without a member compute too, because the bits of a program depend on its size. Where some
    members are behind the others, they catch up first. An error of one does not stop the others.
    """
    ended: dict[int, Outcome | Exception] = {}
    runs: dict[int, Steps[Outcome]] = {}
    calls: dict[int, Call] = {}

    def proceed(member: Member, result: Result | None) -> None:
        """Continue the loop of a member up to its next compiled call."""
        calls.pop(member.place, None)
        try:
            calls[member.place] = next(runs[member.place]) if result is None else runs[member.place].send(result)
        except StopIteration as end:
            ended[member.place] = end.value
        except Exception as error:  # of a library or of the user's own module
            ended[member.place] = error

    try:
        for member in members:
            place = {"population": size, "member": member.place}
            runs[member.place] = loop.training_steps(
                member.config, str(member.workdir), _yielded, stop=stop, quiet=True, opened=opened, place=place
            )
            proceed(member, None)
        if calls:
            _advance_all(members, size, calls, proceed, opened)
    finally:
        for run in runs.values():
            run.close()
    return [ended[member.place] for member in members]


def _yielded(call: Call) -> Steps[Result]:
    return (yield call)


def _advance_all(
    members: Sequence[Member],
    size: int,
    calls: Mapping[int, Call],
    proceed: Callable[[Member, Result | None], None],
    opened: Opened,
) -> None:
    """Make the compiled calls of all members until none has another one."""
    first = next(iter(calls))
    setup = calls[first].setup
    together = compile_together(setup, opened)
    numbers, states = _stacked_inputs(together, [calls.get(place, calls[first]) for place in range(size)])
    done = {place: int(whole(call.state).step) for place, call in calls.items()}

    def state_of(place: int) -> TrainState:
        return together.pick(states, place)

    while calls:
        behind = min(done[place] for place in calls)
        turn = [member for member in members if member.place in calls and done[member.place] == behind]
        in_turn = {member.place: calls[member.place].arguments for member in turn}
        arguments = [in_turn.get(place, in_turn[turn[0].place]) for place in range(size)]
        kept = None if len(turn) == len(calls) else jax.tree.map(jnp.copy, states)  # of members that wait
        states, metrics = together.advance(numbers, states, arguments)
        if mesh.must_block(setup.devices):
            jax.block_until_ready(metrics)
        if kept is not None:
            states = together.merge(np.isin(range(size), [member.place for member in turn]), states, kept)
        columns = {name: Column(values) for name, values in metrics.items()}
        for member in turn:
            extra = calls[member.place].arguments[1:]  # the number of steps of a call of several
            done[member.place] += int(extra[0]) if extra else 1
            own = {name: MemberMetric(column, member.place) for name, column in columns.items()}
            proceed(member, (functools.partial(state_of, member.place), own))


def _stacked_inputs(together: Together, calls: Sequence[Call]) -> tuple[PyTree, TrainState]:
    numbers = together.stack(*(call.setup.train_step.args[0] for call in calls))
    return numbers, together.stack(*(whole(call.state) for call in calls))


class Column:
    """A metric of a call for all members, which becomes a NumPy array once, when the first of them reads its own."""

    def __init__(self, values: jax.Array) -> None:
        self._values: jax.Array | np.ndarray = values

    def of(self, place: int) -> np.ndarray:
        """The metric of a member."""
        self._values = np.asarray(self._values)
        value: np.ndarray = self._values[place]
        return value


@dataclass(frozen=True)
class MemberMetric:
    """The metric of a member; NumPy reads it as an array."""

    column: Column
    place: int

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.column.of(self.place), dtype)


def compile_together(setup: TrainingSetup, opened: Opened) -> Together:
    """The functions of populations of the program of a setup, compiled when they are first called with a size."""
    program = setup.train_step.func
    if program not in opened.populations:
        opened.populations[program] = _make_together(setup)
    together: Together = opened.populations[program]
    return together


def _make_together(setup: TrainingSetup) -> Together:
    one = inspect.unwrap(setup.train_step.func)  # (numbers, state, batch), or (numbers, state, batches, count)
    by_member = NamedSharding(setup.devices, PartitionSpec(mesh.AXES))

    def stack(*trees: PyTree) -> PyTree:
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    def advance(numbers: PyTree, states: TrainState, arguments: Sequence[tuple[Any, ...]]) -> tuple[TrainState, PyTree]:
        batches = jax.lax.with_sharding_constraint(stack(*(batch for batch, *_ in arguments)), by_member)
        count = arguments[0][1:]  # the same for all members that are not held back
        result: tuple[TrainState, PyTree] = jax.vmap(one, in_axes=(0, 0, 0, *[None for _ in count]))(numbers, states, batches, *count)
        return result

    def pick(states: TrainState, place: Any) -> TrainState:
        state: TrainState = jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, place, keepdims=False), states)
        return state

    def merge(mask_n: Any, new: TrainState, old: TrainState) -> TrainState:
        merged: TrainState = jax.tree.map(lambda a, b: jnp.where(mask_n.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, old)
        return merged

    options = runtime.compiler_options()
    return Together(
        stack=jax.jit(stack, out_shardings=by_member),
        advance=jax.jit(advance, donate_argnums=1, out_shardings=(by_member, None), compiler_options=options),
        pick=jax.jit(pick, out_shardings=setup.placement),
        merge=jax.jit(merge, out_shardings=by_member),
        trials={},
    )


def pays(configs: Sequence[ConfigDict], opened: Opened) -> bool:
    """Whether a short trial on this device finds that the runs of these configs are faster as a population than one after another.

    There is one trial for each program and size.
    """
    setups = [set_up(config, opened) for config in configs]
    together = compile_together(setups[0], opened)
    if len(configs) in together.trials:
        return together.trials[len(configs)]
    calls = []
    for config, setup in zip(configs, setups, strict=True):
        batches = loop.open_batches(config, setup, 0)
        calls.append(Call(setup, initial_state(config, setup), next(batches)))
        batches.close()
    numbers, states = _stacked_inputs(together, calls)
    alone = _seconds(calls[0].setup.train_step, whole(calls[0].state), *calls[0].arguments)
    arguments = [call.arguments for call in calls]
    seconds = _seconds(lambda now: together.advance(numbers, now, arguments), states)
    together.trials[len(configs)] = len(configs) * alone > MIN_GAIN * seconds
    return together.trials[len(configs)]


def _seconds(call: Callable[..., tuple[PyTree, PyTree]], state: PyTree, *arguments: Any) -> float:
    """The shortest wall time of a compiled call, after one that compiles."""
    seconds = []
    for _ in range(1 + TRIAL_STEPS):
        start = time.perf_counter()
        state, _metrics = jax.block_until_ready(call(state, *arguments))
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
