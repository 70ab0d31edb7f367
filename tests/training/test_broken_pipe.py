"""A run whose output nobody reads continues, and saves its state at SIGTERM. Real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import processes


@pytest.mark.parametrize("both", [pytest.param(False, marks=pytest.mark.slow), True], ids=["stdout", "stdout and stderr"])
def test_sigterm_saves_the_state_of_a_run_whose_output_nobody_reads(both: bool, tmp_path: Path, cache: Path) -> None:
    workdir, errors = tmp_path / "run", tmp_path / "errors.txt"
    read, write = os.pipe()
    command = [sys.executable, "-m", "imgloc", "train", *processes.TINY, "--config.train.steps=100000", "--workdir", str(workdir)]
    with errors.open("w") as file:
        process = subprocess.Popen(
            command, cwd=processes.ROOT, env=processes.environment(cache), stdout=write, stderr=write if both else file
        )
    os.close(write)
    os.close(read)
    deadline = time.monotonic() + 120
    while not (workdir / "checkpoints" / "40").is_dir():  # after lines of progress, two of them of validation
        assert process.poll() is None, f"the run ended with {process.returncode}: {errors.read_text()}"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    step = int(json.loads((workdir / "provenance.json").read_text())["sessions"][-1]["to_step"])
    assert step >= 40
    assert (workdir / "checkpoints" / str(step)).is_dir()
    assert not [line for line in errors.read_text().splitlines() if "Traceback" in line or "BrokenPipe" in line or "Exception" in line]
