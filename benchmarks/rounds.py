"""Runs the processes of a benchmark in turns, A B C A B C, and makes rows of their results."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from benchmarks.decoding import BATCH, IMPLEMENTATIONS, READINGS, make_folder
from benchmarks.measure import Row, comparable_ms, over_processes
from benchmarks.settings import cores, environment
from benchmarks.steadiness import watch_others
from benchmarks.works import IMPLEMENTATIONS as PACKAGES
from benchmarks.works import WORKS, Work, for_platform, is_distinct, unavailable
from imgloc.errors import UserError
from imgloc.runs.provenance import describe_environment, git_commit

TIMEOUT = 900  # seconds of one process
Say: TypeAlias = Callable[[str], None]  # prints a line of progress
Spec: TypeAlias = Mapping[str, Any]  # of a task, see benchmarks.worker
Worker: TypeAlias = Callable[[Spec, str], Row]  # (spec, setting) -> result
S = TypeVar("S")


@dataclass(frozen=True)
class Side:
    """One of the sides that are compared: an implementation in a setting."""

    implementation: str
    setting: str

    def __str__(self) -> str:
        return f"{self.implementation}, {self.setting}"


def run_worker(spec: Spec, setting: str) -> Row:
    """Runs a task in a new process; returns its result with `other_shares`, or {"reason": ...} if it fails."""
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(spec)]
    try:
        with watch_others() as others:
            done = subprocess.run(
                command, env=environment(setting, os.environ), capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
    except subprocess.TimeoutExpired:
        return {"reason": f"took longer than {TIMEOUT} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        errors = done.stderr.strip().splitlines()
        return {"reason": f"exit code {done.returncode}: {errors[-1][:300] if errors else 'no message'}"}
    result: Row = json.loads(lines[-1])
    return result if "reason" in result else {**result, "other_shares": others}


def others(results: Sequence[Row]) -> list[float]:
    """Returns the shares of the cores that other programs used during processes, where they were measured."""
    return [share for result in results for share in result.get("other_shares", ())]


def take_turns(
    title: str, sides: Sequence[S], failed: dict[S, str], start: Callable[[S], Row], processes: int, say: Say
) -> dict[S, list[Row]]:
    """Runs each side once per round; returns the results of each. A side that fails is not run again; `failed` then has the reason."""
    results: dict[S, list[Row]] = {side: [] for side in sides}
    for number in range(1, processes + 1):
        for side in (side for side in sides if side not in failed):
            say(f"{title}  {side}  process {number} of {processes}")
            result = start(side)
            if "reason" in result:
                failed[side] = result["reason"]
                say(f"{title}  {side}  does not run: {result['reason']}")
            else:
                results[side].append(result)
    return results


def describe_machine(group: str, names: Sequence[str], *, quick: bool, worker: Worker = run_worker) -> Row:
    """Returns device, matrix-product rate and operations of each work. Raises UserError where JAX does not start."""
    machine = worker({"task": "machine", "group": group, "works": list(names), "quick": quick}, "box")
    if "reason" in machine:
        raise UserError(f"JAX does not run here: {machine['reason']}")
    return machine


def about(machine: Mapping[str, Any]) -> Row:
    """Returns the columns that describe where a row was measured."""
    packages = ("imgloc", "jax", "jaxlib", "flax", "torch", "torchvision", "keras")
    where = describe_environment()
    return {
        "device": machine["device"],
        "platform": machine["platform"],
        "machine": where["machine"],
        "threads": cores(),
        "python": where["python"],
        "versions": {name: importlib.metadata.version(name) for name in packages if is_installed(name)},
        **git_commit(),
    }


def is_installed(package: str) -> bool:
    """Returns whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def installed(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the implementations whose package is installed, and the others."""
    present = [name for name in names if not PACKAGES[name] or is_installed(PACKAGES[name])]
    return present, [name for name in names if name not in present]


def select(group: str, names: Sequence[str], platform: str, *, named: bool) -> list[Work]:
    """Returns the works of these names that are timed on a platform."""
    return for_platform([work for work in WORKS[group] if work.name in names], platform, named=named)


def time_in_turns(
    group: str, works: Sequence[Work], sides: Sequence[Side], *, platform: str, processes: int, quick: bool, say: Say,
    worker: Worker = run_worker,
) -> list[Row]:  # fmt: skip
    """Returns a row for each work and side: the median over processes of each one's median, or None with a reason if it fails.

    A side that lacks the cell or model of a work is not run.
    """
    rows = []
    for work in works:
        compared = [side for side in sides if is_distinct(work, side.implementation)]
        failed = {side: reason for side in compared if (reason := unavailable(work, side.implementation))}

        def start(side: Side, work: Work = work) -> Row:
            spec = {"task": "time", "group": group, "work": work.name, "implementation": side.implementation, "setting": side.setting}
            return worker({**spec, "platform": platform, "quick": quick}, side.setting)

        results = take_turns(work.name, compared, failed, start, processes, say)
        rows += with_ratios([_row(work, side, results[side], failed.get(side), platform) for side in compared])
    return rows


def _row(work: Work, side: Side, results: Sequence[Row], reason: str | None, platform: str) -> Row:
    row: Row = {"work": work.name, "implementation": side.implementation, "setting": side.setting}
    row |= {"median_ms": None, "low_ms": None, "high_ms": None, "n": 0, "ratio": None}
    if reason is None:
        row |= over_processes([result["median_ms"] for result in results], others(results))
        row |= {"repeats": [result["repeats"] for result in results], "parameters": results[0]["parameters"]}
        row["peak_mib"] = max(result["peak_mib"] for result in results)
    else:
        row["reason"] = reason
    return row | {
        "kind": "training step" if work.train else "forward",
        "batch": work.batch,
        "size": work.size,
        "dtype": "float32" if platform == "cpu" else "bfloat16",
        "steps_per_call": work.steps_per_call if side.implementation in ("imgloc", "linen") else 1,
    }


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """Adds to rows of one work `ratio`: imgloc's time divided by the row's in the same setting; below 1, imgloc is faster.

    It is None where one of the two times is missing or unsteady.
    """
    imgloc_ms = {row["setting"]: comparable_ms(row) for row in rows if row["implementation"] == "imgloc"}
    for row in rows:
        reference, own = imgloc_ms.get(row["setting"]), comparable_ms(row)
        row["ratio"] = round(reference / own, 4) if reference and own else None
    return list(rows)


def with_floor(rows: Sequence[Row], machine: Mapping[str, Any]) -> list[Row]:
    """Adds to rows the operations of their work, the time these take at the measured rate, and the share of that rate reached."""
    for row in rows:
        operations = machine["operations"].get(row["work"])
        floor = operations / machine["rate"] * 1e3 if operations else None
        row["gflop"] = round(operations / 1e9, 4) if operations else None
        row["floor_ms"] = round(floor, 4) if floor else None
        row["share_of_peak"] = round(floor / row["median_ms"], 4) if floor and row["median_ms"] else None
        row["peak_gflops"] = round(machine["rate"] / 1e9, 1)
    return list(rows)


def feeding(platform: str, processes: int, *, quick: bool, say: Say, worker: Worker = run_worker) -> list[Row]:
    """Returns a row for each time of `benchmarks.feeding`; `ratio` is that time divided by the time of the step that uses the data."""
    results = []
    for number in range(1, processes + 1):
        say(f"making and using batches  process {number} of {processes}")
        results.append(worker({"task": "input", "platform": platform, "quick": quick}, "box"))
        if "reason" in results[-1]:
            raise UserError(f"the input pipeline cannot be timed here: {results[-1]['reason']}")
    rows = []
    for name, first in ((name, value) for name, value in results[0].items() if name != "other_shares"):
        times = over_processes([r[name]["median_ms"] for r in results], others(results))
        row = {"work": name, "implementation": "imgloc", "setting": "box", **times}
        steps = over_processes([r[name]["against_ms"] for r in results]) if first["against_ms"] else None
        step_ms, own, steady_step_ms = steps["median_ms"] if steps else None, comparable_ms(row), comparable_ms(steps)
        row |= {
            "ratio": round(own / steady_step_ms, 4) if own and steady_step_ms else None,
            "images_per_second": round(first["images"] / row["median_ms"] * 1e3, 1),
            "against": first["against"],
            "needed_images_per_second": round(first["images"] / step_ms * 1e3, 1) if step_ms else None,
        }
        if "waiting_share" in first:
            row["waiting_share"] = round(statistics.median(r[name]["waiting_share"] for r in results), 4)
        rows.append(row)
    return rows


def reading(folder: Path, processes: int, *, quick: bool, say: Say, worker: Worker = run_worker) -> list[Row]:
    """Returns a row for each reading and implementation of `benchmarks.decoding`.

    `ratio` is imgloc's images per second divided by the row's.
    """
    rows = []
    for work in READINGS:
        make_folder(folder / work.name, work, files=BATCH if quick else 0)
        failed = {name: f"{package} is not installed" for name, package in IMPLEMENTATIONS.items() if package and not is_installed(package)}
        spec = {"task": "read", "reading": work.name, "folder": str(folder / work.name), "quick": quick}

        def start(implementation: str, spec: Spec = spec) -> Row:
            return worker({**spec, "implementation": implementation}, "box")

        results = take_turns(work.name, list(IMPLEMENTATIONS), failed, start, processes, say)
        rows += _reading_rows(work.name, results, failed)
    return rows


def _reading_rows(work: str, results: Mapping[str, Sequence[Row]], failed: Mapping[str, str]) -> list[Row]:
    timed = {name: rows for name, rows in results.items() if rows and name not in failed}
    times = {name: over_processes([row["median_ms"] for row in rows], others(rows)) for name, rows in timed.items()}
    steady = {name: ms for name in times if (ms := comparable_ms(times[name])) is not None}
    fastest = min((steady[name] for name in steady if name.startswith("imgloc")), default=None)
    decoder = steady.get("decode_imgloc")
    rows: list[Row] = []
    for name in results:
        row: Row = {"work": work, "implementation": name, "setting": "box", "median_ms": None, "ratio": None}
        if name in failed:
            row["reason"] = failed[name]
        else:
            median = times[name]["median_ms"]
            reference = decoder if name.startswith("decode") else fastest
            row |= times[name] | {"images_per_second": round(BATCH / median * 1e3, 1)}
            row["ratio"] = round(median / reference, 4) if reference and name in steady else None
        rows.append(row)
    return rows
