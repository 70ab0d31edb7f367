"""Runs imgloc commands in separate processes and appends their output to a log."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from imgloc import files
from imgloc.errors import UserError, reason
from imgloc.training.preemption import FOLLOW_STDIN

POLL_SECONDS = 0.5  # between checks of a process


class ProcessStop(Protocol):
    """A request to end a process."""

    @property
    def requested(self) -> bool:
        """Whether training saves its state and ends; other processes end at once."""

    @property
    def immediately(self) -> bool:
        """Whether every process is killed."""


def run_process(arguments: Sequence[str], log: Path, lock: int, stop: ProcessStop, environment: Mapping[str, str]) -> str:
    """Run `imgloc ARGUMENTS` and append its output to a log; returns its error in one line, or "".

    The process inherits the lock and has its own process group, so that Ctrl-C does not reach it. To stop training, its standard
    input is closed; this also happens when this process is killed. `environment` adds to that of this process.
    """
    with files.errors_naming(log), log.open("ab") as output:
        output.write(f"$ imgloc {shlex.join(arguments)}\n".encode())
        output.flush()
        start = output.tell()
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "imgloc", *arguments], env={**os.environ, **environment, FOLLOW_STDIN: "1"}, pass_fds=(lock,),
                process_group=0, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return f"cannot start: {reason(error)}"
    try:
        code = _wait(process, arguments[0], stop)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        if process.stdin:
            process.stdin.close()
    return "" if code == 0 else error_line(log.read_bytes()[start:].decode(errors="replace"), code)


def _wait(process: subprocess.Popen[bytes], command: str, stop: ProcessStop) -> int:
    stopping = False
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        if stop.immediately:
            process.kill()
        elif stop.requested and not stopping:
            stopping = True
            if process.stdin:
                process.stdin.close()
            if command != "train":  # which has no state to save
                process.terminate()


def check_in_a_process(arguments: Sequence[str]) -> None:
    """Run a check, `imgloc ARGUMENTS`, in a separate process, which releases the GPU or TPU for training when it ends.

    Raises UserError with its error.
    """
    done = subprocess.run([sys.executable, "-m", "imgloc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        line = error_line(done.stderr, done.returncode)
        is_killed = done.returncode < 0 or not done.stderr.strip()
        raise UserError(f"the check before training {line}; if memory is short, free some and run the command again" if is_killed else line)


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
