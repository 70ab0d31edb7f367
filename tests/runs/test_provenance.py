"""The provenance of a run: versions, devices, command and commit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imgloc.runs import provenance as provenances
from imgloc.runs.provenance import command_line, git_commit, make_provenance


def test_provenance_contains_what_results_may_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = make_provenance({"train": "abc"}, ["cpu:0"], {"data": 1, "fsdp": 1, "processes": 1}, "f00d", {"jax_enable_x64": "False"})
    json.dumps(stored, allow_nan=False)
    assert stored["config"] == "f00d"
    assert stored["data"] == {"train": "abc"}
    assert stored["devices"] == ["cpu:0"]
    assert stored["python"] == ".".join(map(str, sys.version_info[:3]))
    assert stored["packages"]["numpy"] == __import__("numpy").__version__
    assert {stored["packages"].get(name, "not installed") for name in ("simplejpeg", "opencv-python-headless")}.isdisjoint(
        {"not installed"}
    )
    assert isinstance(stored["dirty"], bool)
    assert stored["commit"]
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/imgloc", "train", "--workdir", "runs/a"])
    assert command_line() == "imgloc train --workdir runs/a"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
    return subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_of_the_working_tree_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "imgloc" / "runs" / "provenance.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    monkeypatch.setattr(provenances, "__file__", str(module))
    git(tmp_path, "init", "-q")
    assert git_commit() == {"commit": "unknown", "dirty": False}  # in a repository that does not track it
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    assert git_commit() == {"commit": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    module.write_text("changed = True\n")
    assert git_commit()["dirty"] is True
