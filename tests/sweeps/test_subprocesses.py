"""Commands in separate processes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from imgloc.sweeps.subprocesses import check_in_a_process, error_line, run_process
from tests.refusals import assert_refused


@pytest.mark.parametrize(
    ("printed", "code", "expected"),
    [
        ("from step 0\nimgloc train: loss is nan at step 5\n\n", 1, "loss is nan at step 5"),
        ("from step 0\n", -9, "ended by SIGKILL"),
        ("", 3, "ended with exit code 3"),
        ("Traceback (most recent call last):\n  File x\nRuntimeError: out of memory\nOf the GPU.\n", 1, "RuntimeError: out of memory"),
        ("Traceback (most recent call last):\n  x\nA: b\n\nTraceback (most recent call last):\n  y\nC: d\n---\nfor\n", 1, "C: d"),
        ("Traceback (most recent call last):\n  File x\n", 1, "  File x"),
    ],
)
def test_the_error_line_of_a_process(printed: str, code: int, expected: str) -> None:
    assert error_line(printed, code) == expected


def test_a_process_that_fails_returns_its_error_and_writes_its_log(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        command = ["train", "--config", "configs/none.py", "--workdir", str(tmp_path / "run")]
        error = run_process(command, tmp_path / "log", lock.fileno(), SimpleNamespace(requested=False, immediately=False), {})
    assert error.startswith("no recipe file 'configs/none.py'")
    log = (tmp_path / "log").read_text()
    assert log.startswith("$ imgloc train --config configs/none.py")
    assert error in log


def test_a_check_that_fails_or_is_killed_raises_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["sweep", "--config", "configs/none.py", "--workdir", str(tmp_path / "sweep"), "--check"]
    assert_refused(lambda: check_in_a_process(command), "no recipe file 'configs/none.py'")
    killed = subprocess.CompletedProcess([], -9, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    assert_refused(lambda: check_in_a_process(command), "ended by SIGKILL; if memory is short")
