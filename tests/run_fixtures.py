"""Fixtures around trained runs, shared by the tests of the loop, evaluation, locating and the commands."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import processes


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compilation cache that the processes of one test session share."""
    return tmp_path_factory.mktemp("cache")


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker of the session to want it makes, for all of them."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = base / "shared" / name, base / f"{name}.made"
    folder.parent.mkdir(exist_ok=True)
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A finished run of processes.TINY, trained without any interruption. Not to be changed by tests."""
    return made_once(
        tmp_path_factory, "tiny", lambda workdir: processes.run("train", *processes.TINY, "--workdir", str(workdir), cache=cache)
    )


@pytest.fixture(scope="session")
def evaluated_run(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, cache: Path) -> Path:
    """A copy of the tiny run, evaluated on test. Not to be changed by tests."""

    def make(workdir: Path) -> None:
        shutil.copytree(tiny_run, workdir)
        processes.run("evaluate", str(workdir), cache=cache)

    return made_once(tmp_path_factory, "evaluated", make)
