"""Times of one process: warm up, repeat, median."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SECONDS = 3.0  # that repeats go on for
FEWEST, MOST = 5, 300
WARM_UP = 3  # the first compiles, the next ones still grow allocators and choose kernels
STEPS_ON_ACCELERATOR = 10  # queued before waiting: the time is the device's, not that of one dispatch and one wait


@dataclass(frozen=True)
class Prepared:
    """An implementation of a work, ready to be timed."""

    run: Callable[[int], None]  # does this many calls and waits until the device has done them
    parameters: int  # learned ones: equal between implementations of one work
    steps_per_call: int = 1


def measure(prepared: Prepared, *, platform: str, quick: bool) -> list[float]:
    """Milliseconds a step, one number a repeat; every repeat ends when the device has done its steps."""
    calls = 1 if platform == "cpu" else STEPS_ON_ACCELERATOR
    for _ in range(2 if quick else WARM_UP):
        prepared.run(calls)
    return repeat(lambda: prepared.run(calls), steps=calls * prepared.steps_per_call, quick=quick)


def repeat(call: Callable[[], Any], *, steps: int = 1, quick: bool = False) -> list[float]:
    """Milliseconds of each call divided by `steps`, for SECONDS and between FEWEST and MOST calls; 3 calls where `quick`."""
    fewest, most = (3, 3) if quick else (FEWEST, MOST)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < fewest or (len(times) < most and time.perf_counter() - began < SECONDS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3 / steps)
    return times


def over_processes(medians_ms: Sequence[float]) -> dict[str, Any]:
    """Median, lowest and highest of the medians of several processes, and their number."""
    values = {"median_ms": statistics.median(medians_ms), "low_ms": min(medians_ms), "high_ms": max(medians_ms)}
    return {**{name: round(value, 4) for name, value in values.items()}, "n": len(medians_ms)}
