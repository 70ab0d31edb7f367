"""Running the points of a sweep one after another in new processes; several sweeps may share a folder."""

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
from imgloc.config.saved import dotted_names
from imgloc.errors import UserError, reason
from imgloc.sweeps import folder
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.training.preemption import FOLLOW_STDIN, StopRequest

POLL_SECONDS = 0.5  # between checks of a process, and of points that other sweeps run
Show = Callable[[Point, str, str], None]  # reports a point, its state (a name in table.STATES) and a note


@dataclass(frozen=True)
class Plan:
    """The arguments of a sweep."""

    sweep: SweepDir
    recipe: str  # path of the file
    split: str


def run_points(plan: Plan, points: Sequence[Point], stop: StopRequest, show: Show) -> dict[str, str]:
    """Train and score each point that is unfinished; returns {name: error} of those that failed.

    Waits for points that other sweeps run, and takes them over when such a sweep is killed. Ends early, with the state of the
    running point saved, when `stop` is requested. Raises UserError where the folder cannot be written or the recipe has changed.
    """
    begun = folder.begin(plan.sweep)
    failed: dict[str, str] = {}
    waiting = list(points)
    while waiting and not stop.requested:
        unfinished = []
        for point in waiting:
            state, note = _finish(plan, point, begun, stop, show) if not stop.requested else ("waiting", "")
            show(point, state, note)
            if state == "failed":
                failed[point.name] = note
            elif state != "finished":
                unfinished.append(point)
        if len(unfinished) == len(waiting) and not stop.requested:
            time.sleep(POLL_SECONDS)
        waiting = unfinished
    return failed


def _finish(plan: Plan, point: Point, begun: int, stop: StopRequest, show: Show) -> tuple[str, str]:
    """Finish a point that no other sweep holds; returns its state and a note."""
    with folder.claim(plan.sweep.lock(point)) as lock:
        if lock is None:
            return "elsewhere", ""
        error = folder.failure_since(plan.sweep, point, begun)
        if error is not None:
            return "failed", error
        check_recipe(plan.recipe, point)
        try:
            error = _train_and_score(plan, point, lock, stop, show)
        except UserError as refusal:  # its folder has changed since the sweep began
            error = str(refusal)
        if error and not stop.requested:
            folder.note_failure(plan.sweep, point, error)
            return "failed", error
        if error:
            return "waiting", "stopped, its state is saved"
        plan.sweep.failed(point).unlink(missing_ok=True)
        return "finished", ""


def _train_and_score(plan: Plan, point: Point, lock: int, stop: StopRequest, show: Show) -> str:
    """Return why a point did not finish, or "". Raises UserError where its folder contains another run or other files."""
    run, log = folder.run_of(plan.sweep, point), plan.sweep.log(point)
    if folder.is_scored(run, point, plan.split):
        return ""
    if not folder.is_trained(run, point):
        command = ["train", "--config", plan.recipe, "--workdir", str(run.path), *point.arguments]
        show(point, "training", "")
        error = run_process(command, log, lock, stop, lambda note: show(point, "training", note))
        if error or not folder.is_trained(run, point):
            return error or "ended before its last step, its state is saved"
    if folder.is_scored(run, point, plan.split):  # by the evaluation after training that its config requests
        return ""
    if stop.requested:
        return "stopped"
    show(point, "scoring", "")
    own_modules = [f"--allow-import={name}" for name in dotted_names(point.config.to_dict())]  # which the recipe or a flag named
    command = ["evaluate", str(run.path), "--split", plan.split, *own_modules]
    error = run_process(command, log, lock, stop)
    return error or ("" if folder.is_scored(run, point, plan.split) else "imgloc evaluate wrote no results")


def check_recipe(recipe: str, point: Point) -> None:
    """Raise UserError where the recipe no longer has the config that was checked when the sweep began."""
    changed = f"'{recipe}' has changed since this sweep began"
    try:
        identity = configs.fingerprint(resolve(read_recipe(recipe), point.arguments))
    except UserError as error:
        raise UserError(f"{changed}: {error}") from error
    if identity != point.identity:
        raise UserError(f"{changed}, so that '{point.name}' would be another run; start the sweep again, or undo the change")


def run_process(arguments: Sequence[str], log: Path, lock: int, stop: StopRequest, tick: Callable[[str], None] | None = None) -> str:
    """Run `imgloc ARGUMENTS` and append its output to a log; returns its error in one line, or "".

    `tick` is called with the last line of output every POLL_SECONDS. The process inherits the lock and has its own process group,
    so that Ctrl-C does not reach it. To stop training, its standard input is closed; this also happens when this process is killed.
    """
    environment = {**os.environ, FOLLOW_STDIN: "1"}
    with files.errors_naming(log), log.open("ab") as output:
        output.write(f"$ imgloc {shlex.join(arguments)}\n".encode())
        output.flush()
        start = output.tell()
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "imgloc", *arguments], env=environment, pass_fds=(lock,), process_group=0,
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return f"cannot start: {reason(error)}"
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
    stopping = False
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            tick()
        if stop.requested and not stopping:
            stopping = True
            if process.stdin:
                process.stdin.close()
            if command != "train":  # which has no state to save
                process.terminate()


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - 2000))
        lines = file.read().decode(errors="replace").splitlines()
    return lines[-1] if lines else ""


def error_line(printed: str, code: int) -> str:
    """Return the error of a process that failed: the error of its last traceback, or else its last line of output."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = [line for line in printed.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback (")]
    if starts:
        errors = [line for line in lines[starts[-1] + 1 :] if not line.startswith(" ")]
        lines = errors[:1] or lines
    last = lines[-1] if lines else f"ended with exit code {code}"
    return last.split(": ", 1)[1] if last.startswith("imgloc ") and ": " in last else last
