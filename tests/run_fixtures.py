"""Fixtures around trained runs, shared by the tests of the loop, evaluation, locating and the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import processes


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compilation cache that the processes of one test session share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A finished run of processes.TINY, trained without any interruption. Not to be changed by tests."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    processes.run("train", *processes.TINY, "--workdir", str(workdir), cache=cache)
    return workdir


@pytest.fixture(scope="session")
def evaluated_run(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, cache: Path) -> Path:
    """A copy of the tiny run, evaluated on test. Not to be changed by tests."""
    import shutil

    workdir = tmp_path_factory.mktemp("runs") / "evaluated"
    shutil.copytree(tiny_run, workdir)
    processes.run("evaluate", str(workdir), cache=cache)
    return workdir
