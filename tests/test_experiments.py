"""The tables in the READMEs of experiments are those that their commands print from the checked-in results."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from imgloc.experiments.declared import load_experiment
from imgloc.experiments.records import read_results
from imgloc.experiments.tables import tables_text

FOLDERS = sorted(path for path in (Path(__file__).parent.parent / "experiments").iterdir() if path.is_dir())
READMES = {folder: folder / "README.md" for folder in FOLDERS}  # an unfinished experiment has none
WITH_TABLES = [folder for folder, readme in READMES.items() if readme.exists() and "|---" in readme.read_text()]


@pytest.mark.parametrize("folder", WITH_TABLES, ids=lambda path: path.name)
def test_tables_are_printed_as_in_the_readme(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if (folder / "experiment.py").exists():
        print(tables_text(load_experiment(str(folder))[0], read_results(folder)))
    else:
        monkeypatch.setattr(sys, "argv", [str(folder / "run.py"), "--table"])
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        runpy.run_path(str(folder / "run.py"), run_name="__main__")
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    readme = READMES[folder].read_text().splitlines()
    assert len(printed) > 2
    assert [line for line in printed if line not in readme] == []
    titles = {line.split("|")[1] for line in printed}
    outdated = [line for line in readme if line.startswith("|") and line.split("|")[1] in titles and line not in printed]
    assert outdated == []
