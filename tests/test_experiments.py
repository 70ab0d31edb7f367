"""The tables in the READMEs of experiments are those that their commands print from the checked-in results."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

import pytest

from imgloc import files

EXPERIMENTS = sorted((Path(__file__).parent.parent / "experiments").glob("*/run.py"))
READMES = {run: run.parent / "README.md" for run in EXPERIMENTS}  # an unfinished experiment has none
WITH_TABLES = [run for run, readme in READMES.items() if readme.exists() and "|---" in readme.read_text()]


@pytest.mark.parametrize("run", WITH_TABLES, ids=lambda path: path.parent.name)
def test_tables_are_printed_as_in_the_readme(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [str(run), "--table"])
    monkeypatch.setattr(sys, "path", [str(run.parent), *sys.path])
    runpy.run_path(str(run), run_name="__main__")
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    readme = READMES[run].read_text().splitlines()
    assert len(printed) > 2
    assert [line for line in printed if line not in readme] == []
    titles = {line.split("|")[1] for line in printed}
    outdated = [line for line in readme if line.startswith("|") and line.split("|")[1] in titles and line not in printed]
    assert outdated == []


def test_results_are_not_overwritten_by_fewer_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS[0].parent.parent))
    monkeypatch.chdir(EXPERIMENTS[0].parent.parent.parent)
    gathering = importlib.import_module("gathering")
    monkeypatch.setattr(gathering, "HERE", tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "--gather", "--workdir", str(tmp_path / "fresh")])
    saved = tmp_path / "pixels_mnist" / "results.json"
    for runs in ([{}, {}], []):  # a fresh checkout has no finished runs
        files.write_json(saved, {"runs": runs})
        before = saved.read_bytes()
        with pytest.raises(SystemExit) as ended:
            gathering.command_line("", "pixels_mnist", str, str)
        assert ended.value.code == 2
        assert saved.read_bytes() == before
        (line,) = capsys.readouterr().err.splitlines()
        assert f"keeps {len(runs)} runs" in line
    gathering.check_none_lost(saved, 2, 2, "fresh")


@pytest.mark.parametrize("share", [None, "RAM, 0 % of boxes"])  # without this arm, nothing trains the box
def test_pictures_of_few_runs_are_drawn(share: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    glimpses = next(run for run in EXPERIMENTS if run.parent.name == "glimpses")
    monkeypatch.setattr(sys, "path", [str(glimpses.parent), *sys.path])
    module = runpy.run_path(str(glimpses), run_name="glimpses")
    runs = files.read_json(glimpses.parent / "results.json")["runs"]
    results = {"runs": {share: runs[share]} if share else {}}
    assert "</svg>" in module["shares"](results)
    assert "</svg>" in module["curves"](results)


def test_every_commit_that_made_a_run_is_kept_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS[0].parent.parent))
    gathering = importlib.import_module("gathering")
    surroundings = {"machine": "a laptop", "packages": {"jax": "0.10"}, "python": "3.12"}
    for name, commits in {"through": "a", "resumed": "bab", "mended": "bc"}.items():
        sessions = [{"command": "imgloc train", "commit": commit * 8, "dirty": commit == "c", "seconds": 2.0} for commit in commits]
        files.write_json(tmp_path / name / "provenance.json", {**surroundings, "sessions": sessions})
        files.write_json(tmp_path / name / "results.json", {"test": {}})
        files.write_json(tmp_path / name / "finished.json", {"last_step": 9})
    through, resumed, mended = (gathering.kept(tmp_path / name, ["test"], [], "data") for name in ("through", "resumed", "mended"))
    assert (resumed["commit"], resumed["went_on"], resumed["seconds"]) == ("b" * 8, [{"commit": "a" * 8, "dirty": False}], 6.0)
    assert "went_on" not in through
    assert gathering.made_by([through, resumed]) == "Commits aaaaaaa, bbbbbbb; a laptop; JAX 0.10, Python 3.12."
    assert gathering.made_by([mended]).startswith("Commits bbbbbbb, ccccccc (changed);")
