"""Installs the lock under a newer Python (with the JAX it brings), in a fresh clone, and works through the whole path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes


def newer_python() -> str | None:
    """The newest Python 3.12 or 3.13 that runs here and is newer than this one; NEWER_PYTHON names another."""
    for name in (os.environ.get("NEWER_PYTHON"), "python3.13", "python3.12"):
        if name is None or shutil.which(name) is None:
            continue
        done = subprocess.run([name, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and int(done.stdout) > sys.version_info[1]:
            return name
    return None


@pytest.mark.slow
def test_a_fresh_clone_installs_trains_and_reports_under_a_newer_python(tmp_path: Path) -> None:
    python = newer_python()
    if python is None:
        pytest.skip(f"no Python newer than {sys.version_info[0]}.{sys.version_info[1]} on this machine (NEWER_PYTHON names one)")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(processes.ROOT), str(clone)], check=True)
    environment = {**os.environ, "PYTHON": python, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("VIRTUAL_ENV", None)
    setup = [str(clone / "scripts" / "setup")]
    first = subprocess.run(setup, check=True, env=environment, capture_output=True, text=True)
    again = subprocess.run(setup, check=True, env=environment, capture_output=True, text=True)
    assert "Setting up .venv" in first.stdout
    assert again.stdout == again.stderr == ""  # the second time installs nothing

    def imgloc(*arguments: str) -> None:
        command = [str(clone / ".venv/bin/imgloc"), *arguments]
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    imgloc("train", *processes.TINY, "--workdir", "runs/tiny")
    imgloc("evaluate", "runs/tiny")
    imgloc("report", "runs/tiny")
    used = json.loads((clone / "runs/tiny/provenance.json").read_text())
    assert used["python"].split(".")[1] > str(sys.version_info[1])
    assert not used["dirty"]
    print({name: used["packages"][name] for name in ("jax", "flax", "orbax-checkpoint")}, used["python"])
    assert (clone / "runs/tiny/report.html").stat().st_size > 10_000
