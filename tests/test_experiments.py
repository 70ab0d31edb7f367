"""The tables in the experiments' READMEs are what their commands print from the results that are checked in."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXPERIMENTS = sorted((Path(__file__).parent.parent / "experiments").glob("*/run.py"))
WITH_TABLES = [run for run in EXPERIMENTS if "|---" in (run.parent / "README.md").read_text()]


@pytest.mark.parametrize("run", WITH_TABLES, ids=lambda path: path.parent.name)
def test_a_table_is_printed_as_it_stands_in_the_readme(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(run), "--table"])
    monkeypatch.setattr(sys, "path", [str(run.parent), *sys.path])
    runpy.run_path(str(run), run_name="__main__")
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    stands = (run.parent / "README.md").read_text().splitlines()
    assert len(printed) > 2
    assert [line for line in printed if line not in stands] == []
