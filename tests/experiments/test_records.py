"""results.json: what is kept of a run, runs of earlier formats, and merging, which loses no finished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgloc import files
from imgloc.api import experimenting
from imgloc.errors import UserError
from imgloc.experiments import records
from imgloc.experiments.declared import Arm, Experiment
from imgloc.experiments.tables import provenance_line
from tests.experiments import tiny

EXPERIMENT = Experiment({"a": Arm("digits_cnn"), "b": Arm("digits_cnn")}, ())


def test_every_commit_that_made_a_run_is_kept_and_named(tmp_path: Path) -> None:
    surroundings = {"machine": "a laptop", "packages": {"jax": "0.10"}, "python": "3.12", "data": {"train": "f"}}
    for name, commits in {"through": "a", "resumed": "bab", "mended": "bc"}.items():
        session = {"command": "imgloc train --config.data.options.folder=data", "seconds": 2.0}
        sessions = [{**session, "commit": commit * 8, "dirty": commit == "c", "code": commit} for commit in commits]
        files.write_json(tmp_path / name / "provenance.json", {**surroundings, "sessions": sessions})
        files.write_json(tmp_path / name / "results.json", {"test": {}})
        files.write_json(tmp_path / name / "finished.json", {"last_step": 9})
    through, resumed, mended = (records.kept(tmp_path / name, ["test"], [], "data") for name in ("through", "resumed", "mended"))
    assert (resumed["commit"], resumed["went_on"], resumed["seconds"]) == ("b" * 8, [{"commit": "a" * 8, "dirty": False}], 6.0)
    assert "went_on" not in through
    assert (through["code"], through["data"]) == ("a", {"train": "f"})
    assert "code" not in resumed, "several codes made it"
    assert through["command"].endswith("folder=FOLDER")
    assert provenance_line([through, resumed]) == "Commits aaaaaaa, bbbbbbb; a laptop; JAX 0.10, Python 3.12."
    assert provenance_line([mended]).startswith("Commits bbbbbbb, ccccccc (changed);")


def test_merging_replaces_runs_of_the_same_seed_and_loses_none() -> None:
    saved = {"steps": {"arms": {}}, "runs": {"a": [{"seed": 0, "results": "old"}, {"seed": 1, "results": "old"}], "gone": [{"seed": 0}]}}
    new = {
        "a": [{"seed": 1, "results": "new"}, {"seed": 2, "unfinished": 5}, {"seed": 0, "unfinished": 5}],
        "b": [{"seed": 3, "results": 1}],
    }
    merged = records.merged(EXPERIMENT, saved, {"runs": new, "configs": {"a": {}}})
    assert merged["runs"] == {
        "a": [{"seed": 0, "results": "old"}, {"seed": 1, "results": "new"}, {"seed": 2, "unfinished": 5}],
        "b": [{"seed": 3, "results": 1}],
        "gone": [{"seed": 0}],
    }
    assert merged["steps"] == {"arms": {}}
    assert sum("results" in run for runs in merged["runs"].values() for run in runs) == 3


def test_an_arm_has_runs_of_one_config_only() -> None:
    saved = {"runs": {"a": [{"seed": 0, "results": 1}, {"seed": 1, "results": 1}]}, "configs": {"a": {"lr": 1}}}
    one = {"runs": {"a": [{"seed": 0, "results": 2}]}, "configs": {"a": {"lr": 2}}}
    with pytest.raises(UserError, match=r"arm 'a' \(seed 1\) with another config; run all seeds"):
        records.merged(EXPERIMENT, saved, one)
    both = {"runs": {"a": [{"seed": 0, "results": 2}, {"seed": 1, "results": 2}]}, "configs": {"a": {"lr": 2}}}
    assert records.merged(EXPERIMENT, saved, both)["configs"] == {"a": {"lr": 2}}


def test_a_log_that_a_kill_has_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "kind": "validation", "top1": 0.5}\n{"step": 4, "ki')
    assert records.validation_curve(tmp_path, ["top1", "mean_iou"]) == [[2, 0.5, None]]


def test_runs_by_seed_with_scores_are_read(tmp_path: Path) -> None:
    files.write_json(tmp_path / "results.json", {"runs": {"digits": {"0": {"commit": "a", "scores": {"ap": 1}}}}, "rivals": {"x": 1}})
    expected = {"runs": {"digits": [{"seed": 0, "commit": "a", "results": {"test": {"ap": 1}}}]}, "rivals": {"x": 1}}
    assert records.read_results(tmp_path) == expected
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        records.read_results(tmp_path)
    assert records.read_results(tmp_path / "none") == {}


def test_a_folder_without_runs_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tiny.write(tmp_path / "tiny")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    files.write_json(place / "results.json", {"runs": {"plain": [{"seed": 0, "results": {}}]}})
    before = (place / "results.json").read_bytes()
    with pytest.raises(UserError, match="'fresh' has no run of"):
        experimenting.gather(experimenting.choose("."), "fresh")
    assert (place / "results.json").read_bytes() == before
