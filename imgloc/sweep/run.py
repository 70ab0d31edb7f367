"""Running the points of a sweep, one after another in fresh processes, beside other sweeps on the same folder."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgloc import files
from imgloc.config import schema as configs
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.errors import UserError, reason
from imgloc.sweep import folder
from imgloc.sweep.folder import SweepDir
from imgloc.sweep.points import Point
from imgloc.training.preemption import FOLLOW_STDIN, StopRequest

POLL = 0.5  # seconds between looks at a process, and at points that others work on
Show = Callable[[Point, str, str], None]  # of a point: its state (a name in table.STATES) and a note


@dataclass(frozen=True)
class Plan:
    """What a sweep was asked for."""

    sweep: SweepDir
    recipe: str  # the file
    split: str


def run_points(plan: Plan, points: Sequence[Point], stop: StopRequest, show: Show) -> dict[str, str]:
    """Train and score each point that is not; returns {name: error} of those that failed.

    A point that another sweep works on is waited for, so that this ends when all points have ended, and is taken
    over where that one is killed. Ends early, with the running point's state saved, when `stop` says so.
    Raises UserError where the folder cannot be written or the recipe has changed.
    """
    begun = folder.begin(plan.sweep)
    failed: dict[str, str] = {}
    waiting = list(points)
    while waiting and not stop.requested:
        held = []
        for point in waiting:
            state, note = _finish(plan, point, begun, stop, show) if not stop.requested else ("waiting", "")
            show(point, state, note)
            if state == "failed":
                failed[point.name] = note
            elif state != "finished":
                held.append(point)
        if len(held) == len(waiting) and not stop.requested:
            time.sleep(POLL)
        waiting = held
    return failed


def _finish(plan: Plan, point: Point, begun: int, stop: StopRequest, show: Show) -> tuple[str, str]:
    """Bring a point to its end where nobody else does; returns its state and a note."""
    with folder.claimed(plan.sweep.lock(point)) as lock:
        if lock is None:
            return "elsewhere", ""
        error = folder.failure_since(plan.sweep, point, begun)
        if error is not None:
            return "failed", error
        check_recipe(plan.recipe, point)
        try:
            error = _train_and_score(plan, point, lock, stop, show)
        except UserError as broken:  # its folder is not what it was when the sweep began
            error = str(broken)
        if error and not stop.requested:
            folder.note_failure(plan.sweep, point, error)
            return "failed", error
        if error:
            return "waiting", "stopped, its state is saved"
        plan.sweep.failed(point).unlink(missing_ok=True)
        return "finished", ""


def _train_and_score(plan: Plan, point: Point, lock: int, stop: StopRequest, show: Show) -> str:
    """Why a point did not reach its end; nothing where it did. Raises UserError for a folder that holds something else."""
    run, log = folder.run_of(plan.sweep, point), plan.sweep.log(point)
    if folder.is_scored(run, point, plan.split):
        return ""
    if not folder.is_trained(run, point):
        command = ["train", "--config", plan.recipe, "--workdir", str(run.path), *point.arguments]
        show(point, "training", "")
        broken = run_process(command, log, lock, stop, lambda note: show(point, "training", note))
        if broken or not folder.is_trained(run, point):
            return broken or "ended before its last step, its state is saved"
    if folder.is_scored(run, point, plan.split):  # its config has that split scored after training
        return ""
    if stop.requested:
        return "stopped"
    show(point, "scoring", "")
    command = ["evaluate", str(run.path), "--split", plan.split]
    broken = run_process(command, log, lock, stop)
    return broken or ("" if folder.is_scored(run, point, plan.split) else "imgloc evaluate wrote no results")


def check_recipe(recipe: str, point: Point) -> None:
    """Refuse to go on where the recipe file no longer gives the config that was checked when the sweep began."""
    changed = f"'{recipe}' has changed since this sweep began"
    try:
        now = configs.fingerprint(resolve(read_recipe(recipe), point.arguments))
    except UserError as error:
        raise UserError(f"{changed}: {error}") from error
    if now != point.identity:
        raise UserError(f"{changed}; '{point.name}' would be another run. Sweep again, or undo that")


def run_process(arguments: Sequence[str], log: Path, lock: int, stop: StopRequest, tick: Callable[[str], None] | None = None) -> str:
    """Run `imgloc ARGUMENTS` to its end, its output added to a log; returns its error in one line, or nothing.

    `tick` is told the last line that it printed, every POLL seconds.

    It runs in a process group of its own, so that a Ctrl-C reaches it once, through here: its standard input is
    closed, as it also is where this process is killed, and training stops after its step. It inherits the lock.
    """
    environment = {**os.environ, FOLLOW_STDIN: "1"}
    with files.naming(log), log.open("ab") as output:
        output.write(f"$ imgloc {shlex.join(arguments)}\n".encode())
        output.flush()
        start = output.tell()
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "imgloc", *arguments], env=environment, pass_fds=(lock,), process_group=0,
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return f"cannot be started: {reason(error)}"
    try:
        code = _wait(process, arguments[0], stop, lambda: tick(_last_line(log, start)) if tick else None)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        if process.stdin:
            process.stdin.close()
    return "" if code == 0 else error_line(log.read_bytes()[start:].decode(errors="replace"), code)


def _wait(process: subprocess.Popen[bytes], command: str, stop: StopRequest, tick: Callable[[], None]) -> int:
    asked = False
    while True:
        try:
            return process.wait(POLL)
        except subprocess.TimeoutExpired:
            tick()
        if stop.requested and not asked:
            asked = True
            if process.stdin:
                process.stdin.close()
            if command != "train":  # it has no state to save
                process.terminate()


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - 2000))
        lines = file.read().decode(errors="replace").splitlines()
    return lines[-1] if lines else ""


def error_line(printed: str, code: int) -> str:
    """What a process that failed says of it: the error that its traceback ends with, else its last line."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = [line for line in printed.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback (")]
    if starts:
        told = [line for line in lines[starts[-1] + 1 :] if not line.startswith(" ")]
        lines = told[:1] or lines
    last = lines[-1] if lines else f"ended with exit code {code}"
    return last.split(": ", 1)[1] if last.startswith("imgloc ") and ": " in last else last
