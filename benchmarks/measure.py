"""Timing within one process: warm up, repeat, take the median."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.steadiness import unsteady

SECONDS = 3.0  # duration of the repeats
MIN_REPEATS, MAX_REPEATS = 5, 300
WARM_UP = 3  # the first call compiles; in the next ones allocators still grow and kernels are chosen
STEPS_ON_ACCELERATOR = 10  # queued before waiting, so that the time of the device is measured and not that of a dispatch and a wait


Row: TypeAlias = dict[str, Any]  # of a table of results, one JSON object


@dataclass(frozen=True)
class Prepared:
    """An implementation of a work, ready to be timed."""

    run: Callable[[int], None]  # makes this many calls and waits until the device has finished
    parameters: int  # number of trainable parameters, equal between implementations of one work
    steps_per_call: int = 1


def measure(prepared: Prepared, *, platform: str, quick: bool) -> list[float]:
    """Returns milliseconds per step for each repeat; a repeat ends when the device has finished its steps."""
    calls = 1 if platform == "cpu" else STEPS_ON_ACCELERATOR
    for _ in range(2 if quick else WARM_UP):
        prepared.run(calls)
    return repeat(lambda: prepared.run(calls), steps=calls * prepared.steps_per_call, quick=quick)


def repeat(call: Callable[[], object], *, steps: int = 1, quick: bool = False) -> list[float]:
    """Returns the milliseconds of each call divided by `steps`.

    Calls are repeated for SECONDS, at least MIN_REPEATS and at most MAX_REPEATS times; 3 times if `quick`.
    """
    minimum, maximum = (3, 3) if quick else (MIN_REPEATS, MAX_REPEATS)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < minimum or (len(times) < maximum and time.perf_counter() - began < SECONDS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3 / steps)
    return times


def over_processes(medians_ms: Sequence[float], other_shares: Sequence[float] = ()) -> Row:
    """Returns the median, lowest and highest of the medians of several processes, their number `n`, and why they are `unsteady` or ""."""
    values = {"median_ms": statistics.median(medians_ms), "low_ms": min(medians_ms), "high_ms": max(medians_ms)}
    row: Row = {name: round(value, 4) for name, value in values.items()}
    return {**row, "n": len(medians_ms), "unsteady": unsteady(medians_ms, values["median_ms"], other_shares)}


def comparable_ms(row: Row | None) -> float | None:
    """Returns the median time of a row, or None where the row has no time or an unsteady one. Ratios use steady times alone."""
    return row["median_ms"] if row and not row.get("unsteady") else None
