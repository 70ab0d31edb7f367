"""Processes in turns, and the rows that come of them: each implementation once a round, A B C A B C."""

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
from typing import Any

from imgloc.runs.provenance import commit
from imgloc.runs.provenance import surroundings
from benchmarks.decoding import BATCH, READINGS, SIDES, make_folder
from benchmarks.measure import over_processes
from benchmarks.settings import cores, environment
from benchmarks.works import IMPLEMENTATIONS, WORKS, Work, for_platform, is_another, lack
from imgloc.errors import UserError
from imgloc.runs import run_dir

LONGEST = 900  # seconds that one process may take
Say = Callable[[str], None]
Worker = Callable[[Mapping[str, Any], str], dict[str, Any]]  # (spec, setting) -> result


@dataclass(frozen=True)
class Side:
    """One of those that are compared: an implementation in a setting."""

    implementation: str
    setting: str


def run_worker(spec: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """What a process of its own makes of a spec: its result, or {"reason": ...} where it fails."""
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(spec)]
    try:
        done = subprocess.run(command, env=environment(setting, os.environ), capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return {"reason": f"took longer than {LONGEST} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.strip().splitlines()
        return {"reason": f"exit code {done.returncode}: {said[-1][:300] if said else 'nothing said'}"}
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def describe_machine(group: str, names: Sequence[str], *, quick: bool, worker: Worker = run_worker) -> dict[str, Any]:
    """Device, matrix-product rate and operations of each work. Raises UserError where JAX does not start."""
    found = worker({"task": "machine", "group": group, "works": list(names), "quick": quick}, "box")
    if "reason" in found:
        raise UserError(f"JAX does not run here: {found['reason']}")
    return found


def about(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What every row says of where it was measured."""
    packages = ("imgloc", "jax", "jaxlib", "flax", "torch", "torchvision", "keras")
    around = surroundings()
    return {
        "device": machine["device"],
        "platform": machine["platform"],
        "machine": around["machine"],
        "threads": cores(),
        "python": around["python"],
        "versions": {name: importlib.metadata.version(name) for name in packages if importlib.util.find_spec(name)},
        **commit(),
    }


def installed(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Implementations whose package is here, and those that are left out."""
    here = [name for name in names if not IMPLEMENTATIONS[name] or importlib.util.find_spec(IMPLEMENTATIONS[name])]
    return here, [name for name in names if name not in here]


def select(group: str, names: Sequence[str], platform: str, *, named: bool) -> list[Work]:
    """The works of these names that a platform is timed with."""
    return for_platform([work for work in WORKS[group] if work.name in names], platform, named=named)


def time_in_turns(
    group: str, works: Sequence[Work], sides: Sequence[Side], *, platform: str, processes: int, quick: bool, say: Say,
    worker: Worker = run_worker,
) -> list[dict[str, Any]]:  # fmt: skip
    """One row a work and side: median over processes of each one's median, None with a reason where it does not run.

    A side that fails is not tried again for that work; one that lacks its cell or model is not tried at all.
    """
    rows = []
    for work in works:
        compared = [side for side in sides if is_another(work, side.implementation)]
        found: dict[Side, list[dict[str, Any]]] = {side: [] for side in compared}
        failed = {side: why for side in compared if (why := lack(work, side.implementation))}
        for number in range(processes):
            for side in (side for side in compared if side not in failed):
                say(f"{work.name}  {side.implementation}, {side.setting}  process {number + 1} of {processes}")
                spec = {"task": "time", "group": group, "work": work.name, "implementation": side.implementation}
                result = worker({**spec, "setting": side.setting, "platform": platform, "quick": quick}, side.setting)
                if "reason" in result:
                    failed[side] = result["reason"]
                    say(f"{work.name}  {side.implementation}, {side.setting}  does not run: {result['reason']}")
                else:
                    found[side].append(result)
        rows += with_ratios([_row(work, side, found[side], failed.get(side), platform) for side in compared])
    return rows


def _row(work: Work, side: Side, results: Sequence[Mapping[str, Any]], reason: str | None, platform: str) -> dict[str, Any]:
    row: dict[str, Any] = {"work": work.name, "implementation": side.implementation, "setting": side.setting}
    row |= {"median_ms": None, "low_ms": None, "high_ms": None, "n": 0, "ratio": None}
    if reason is None:
        row |= over_processes([result["median_ms"] for result in results])
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


def with_ratios(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one work with `ratio`: imgloc's time to theirs in the same setting; below 1, imgloc is faster."""
    ours = {row["setting"]: row["median_ms"] for row in rows if row["implementation"] == "imgloc"}
    for row in rows:
        own = ours.get(row["setting"])
        row["ratio"] = round(own / row["median_ms"], 4) if own and row["median_ms"] else None
    return list(rows)


def with_floor(rows: Sequence[dict[str, Any]], machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows with the operations of their work, its floor at the measured rate, and the share of that rate reached."""
    for row in rows:
        operations = machine["operations"].get(row["work"])
        floor = operations / machine["rate"] * 1e3 if operations else None
        row["gflop"] = round(operations / 1e9, 4) if operations else None
        row["floor_ms"] = round(floor, 4) if floor else None
        row["share_of_peak"] = round(floor / row["median_ms"], 4) if floor and row["median_ms"] else None
        row["peak_gflops"] = round(machine["rate"] / 1e9, 1)
    return list(rows)


def feeding(platform: str, processes: int, *, quick: bool, say: Say, worker: Worker = run_worker) -> list[dict[str, Any]]:
    """One row a time of `benchmarks.feeding`; `ratio` is that time to the step's that it is held against."""
    results = []
    for number in range(processes):
        say(f"making and using batches  process {number + 1} of {processes}")
        results.append(worker({"task": "input", "platform": platform, "quick": quick}, "box"))
        if "reason" in results[-1]:
            raise UserError(f"the input pipeline cannot be timed here: {results[-1]['reason']}")
    rows = []
    for name, first in results[0].items():
        row = {"work": name, "implementation": "imgloc", "setting": "box", **over_processes([r[name]["median_ms"] for r in results])}
        needed = over_processes([r[name]["against_ms"] for r in results])["median_ms"] if first["against_ms"] else None
        row |= {
            "ratio": round(row["median_ms"] / needed, 4) if needed else None,
            "images_per_second": round(first["images"] / row["median_ms"] * 1e3, 1),
            "against": first["against"],
            "needed_images_per_second": round(first["images"] / needed * 1e3, 1) if needed else None,
        }
        if "waiting_share" in first:
            row["waiting_share"] = round(statistics.median(r[name]["waiting_share"] for r in results), 4)
        rows.append(row)
    return rows


def reading(folder: Path, processes: int, *, quick: bool, say: Say, worker: Worker = run_worker) -> list[dict[str, Any]]:
    """One row a reading and implementation of `benchmarks.decoding`; `ratio` is imgloc's images a second to theirs."""
    rows = []
    for work in READINGS:
        make_folder(folder / work.name, work, files=BATCH if quick else 0)
        found: dict[str, list[float]] = {side: [] for side in SIDES}
        failed: dict[str, str] = {side: f"{package} is not installed" for side, package in SIDES.items() if package and not _here(package)}
        for number in range(processes):
            for side in (side for side in SIDES if side not in failed):
                say(f"{work.name}  {side}  process {number + 1} of {processes}")
                spec = {"task": "read", "reading": work.name, "implementation": side, "folder": str(folder / work.name), "quick": quick}
                result = worker(spec, "box")
                if "reason" in result:
                    failed[side] = result["reason"]
                else:
                    found[side].append(result["median_ms"])
        rows += _reading_rows(work.name, found, failed)
    return rows


def _reading_rows(name: str, found: Mapping[str, list[float]], failed: Mapping[str, str]) -> list[dict[str, Any]]:
    times = {side: over_processes(values) for side, values in found.items() if values and side not in failed}
    ours = min((times[side]["median_ms"] for side in times if side.startswith("imgloc")), default=None)
    alone = times["decode_imgloc"]["median_ms"] if "decode_imgloc" in times else None
    rows: list[dict[str, Any]] = []
    for side in found:
        row: dict[str, Any] = {"work": name, "implementation": side, "setting": "box", "median_ms": None, "ratio": None}
        if side in failed:
            row["reason"] = failed[side]
        else:
            median = times[side]["median_ms"]
            against = alone if side.startswith("decode") else ours
            row |= times[side] | {"images_per_second": round(BATCH / median * 1e3, 1)}
            row["ratio"] = round(median / against, 4) if against else None
        rows.append(row)
    return rows


def _here(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
