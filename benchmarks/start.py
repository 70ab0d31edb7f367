"""Times whole commands from their start: `imgloc --help`, and `imgloc train` up to its first step with and without a compilation cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.measure import Row, over_processes
from imgloc.config.recipes import find_recipe
from imgloc.errors import UserError

POLL_SECONDS = 0.005
TIMEOUT = 600.0  # seconds
WORKS = ("help", "train_cold", "train_warm")
Say = Callable[[str], None]


def help_seconds(environment: Mapping[str, str]) -> float:
    """Returns the seconds that `imgloc --help` takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "imgloc", "--help"], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def first_step_seconds(config: str, workdir: Path, environment: Mapping[str, str]) -> float:
    """Returns the seconds from the start of `imgloc train` to the first step in metrics.jsonl. Raises UserError where training fails."""
    settings = ("train.steps=1", "train.log_every=1", "train.eval_every=0")
    command = [sys.executable, "-m", "imgloc", "train", "--config", config, "--workdir", str(workdir)]
    metrics = workdir / "metrics.jsonl"
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [*command, *(f"--config.{setting}" for setting in settings)], env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            seconds = None
            while seconds is None and process.poll() is None and time.perf_counter() - start < TIMEOUT:
                time.sleep(POLL_SECONDS)
                if metrics.is_file() and metrics.stat().st_size > 0:
                    seconds = time.perf_counter() - start
            process.wait(timeout=TIMEOUT)
        finally:
            process.kill()
            process.wait()
        errors.seek(0)
        lines = errors.read().strip().splitlines()
    if process.returncode != 0 or seconds is None:
        raise UserError(f"'imgloc train --config {config}' fails: {lines[-1] if lines else f'exit code {process.returncode}'}")
    return seconds


def timed(config: str, *, processes: int, say: Say) -> list[Row]:
    """Returns a row for `imgloc --help`, for the first step with an empty compilation cache, and with that of the run before."""
    find_recipe(config)
    measured: dict[str, list[float]] = {name: [] for name in WORKS}
    for number in range(processes):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "XDG_CACHE_HOME": folder}
            environment.pop("JAX_COMPILATION_CACHE_DIR", None)
            say(f"imgloc --help  process {number + 1} of {processes}")
            measured["help"].append(help_seconds(environment))
            for name in ("train_cold", "train_warm"):
                say(f"{name}  process {number + 1} of {processes}")
                measured[name].append(first_step_seconds(config, Path(folder) / name, environment))
    rows = []
    for name, seconds in measured.items():
        spread = over_processes([value * 1e3 for value in seconds])
        rows.append({"work": name, "implementation": "imgloc", "setting": "box", **spread, "ratio": 1.0, "config": config})
    return rows
