"""Run folders: their files and states."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import schema as configs
from imgloc.errors import UserError
from imgloc.runs import run_dir
from imgloc.runs.run_dir import RunDir
from tests.refusals import assert_refused


def saved(path: Path, config: ConfigDict) -> RunDir:
    run = RunDir(path)
    files.write_json(run.config, configs.to_json(config))
    files.write_json(run.provenance, {"config": configs.fingerprint(config)})
    return run


def test_paths_are_distinct_and_inside_the_folder(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "a")
    paths = [run.config, run.provenance, run.data, run.metrics, run.checkpoints, run.finished, run.results, run.thumbnails("test")]
    paths += [run.rows("test"), run.rows("validation"), run.rows("test", "median_box"), run.rows("test", "whole_image")]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to(run.path) for path in paths)
    assert RunDir(Path("relative")).checkpoints.is_absolute()
    assert run.rows("test") == run.path / "rows" / "test.jsonl"
    assert run.results == run.path / "results.json"


@pytest.mark.parametrize("letter", ["a", "ф", "/", "猫"])
def test_thumbnails_of_examples_with_long_ids_have_distinct_names(letter: str, tmp_path: Path) -> None:
    ids = [f"{letter * 120}{end}.jpg" for end in ("1", "2")] + [letter, "plain/1.jpg"]
    paths = [RunDir(tmp_path).thumbnail("test", example_id) for example_id in ids]
    assert len(set(paths)) == len(paths)
    for path in paths:
        files.write_bytes(path, b"png")
        assert path.parent == RunDir(tmp_path).thumbnails("test")
    assert paths[-1].name == "plain%2F1.jpg.png"


def test_states(tmp_path: Path) -> None:
    config = configs.base()
    assert run_dir.run_state(RunDir(tmp_path / "absent"), config) == "new"
    (tmp_path / "empty").mkdir()
    assert run_dir.run_state(RunDir(tmp_path / "empty"), config) == "new"
    run = saved(tmp_path / "run", config)
    assert run_dir.run_state(run, config) == "unfinished"
    files.write_json(run.finished, {"last": 10, "best": 5})
    assert run_dir.run_state(run, config) == "finished"
    assert not (tmp_path / "absent").exists()  # creates nothing


def test_a_run_inside_another_one_and_an_empty_finished_json_are_refused(tmp_path: Path) -> None:
    config = configs.base()
    outer = saved(tmp_path / "a", config)
    assert_refused(lambda: run_dir.run_state(RunDir(outer.path / "b" / "c"), config), "is inside the run folder", str(outer.path))
    (outer.path / "empty").mkdir()
    assert_refused(lambda: run_dir.run_state(RunDir(outer.path / "empty"), config), "is inside the run folder")
    files.write_json(tmp_path / "project" / "config.json", {})  # of some other program
    assert run_dir.run_state(RunDir(tmp_path / "project" / "runs" / "b"), config) == "new"
    outer.finished.touch()
    assert_refused(lambda: run_dir.run_state(outer, config), "finished.json", "the file is empty")


def test_a_file_that_may_not_be_read_is_named_with_its_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = saved(tmp_path / "a", configs.base())
    monkeypatch.setattr(files, "read_json", lambda path: (_ for _ in ()).throw(PermissionError(errno.EACCES, "Permission denied")))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    assert_refused(lambda: run.read(run.config), "cannot read", "Permission denied; its permissions do not let you read it")


@pytest.mark.parametrize(
    ("name", "options"),
    [("test", ""), ("validation", " --split validation"), ("test@last", " --checkpoint last"), ("full", " --name full ...")],
)
def test_the_command_that_writes_rows(name: str, options: str) -> None:
    assert RunDir(Path("runs/a")).evaluate_command(name) == f"imgloc evaluate runs/a{options}"


def test_other_files_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert_refused(lambda: run_dir.run_state(RunDir(tmp_path / "file"), configs.base()), "is a file")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    assert_refused(lambda: run_dir.run_state(RunDir(tmp_path / "thesis"), configs.base()), "contains other files")


def test_a_run_of_another_config_is_refused_with_the_difference(tmp_path: Path) -> None:
    config = configs.base()
    config.model.name = "second_look"
    run = saved(tmp_path / "run", config)
    other = configs.base()
    other.model.name = "second_look"
    other.optim.lr = 0.5
    assert_refused(lambda: run_dir.run_state(run, other), "optim.lr is 0.001 in that run and 0.5 in this command")
    elsewhere = ConfigDict(config.to_dict())
    elsewhere.devices.fsdp = 4
    assert run_dir.run_state(run, elsewhere) == "unfinished"  # a run may continue on other devices
    third = ConfigDict(config.to_dict())
    third.model.width = 3
    assert_refused(lambda: run_dir.run_state(run, third), "model.width", "absent", "3")
    assert_refused(lambda: run_dir.run_state(run, configs.base()), "model.name is 'second_look' in that run and '' in this command")


def test_open_run(tmp_path: Path) -> None:
    config = configs.base()
    config.seed = 4
    saved(tmp_path / "run", config)
    run, stored = run_dir.open_run(str(tmp_path / "run"))
    assert run.path == tmp_path / "run"
    assert configs.fingerprint(stored) == configs.fingerprint(config)
    assert_refused(lambda: run_dir.open_run(str(tmp_path / "no")), "there is no such folder")
    assert_refused(lambda: run_dir.open_run(str(tmp_path)), "it has no config.json")


def test_a_config_json_that_was_changed_is_refused_also_together_with_the_command(tmp_path: Path) -> None:
    config = configs.base()
    run = saved(tmp_path / "run", config)
    config.optim.lr = 0.5
    files.write_json(run.config, configs.to_json(config))
    assert_refused(lambda: run_dir.run_state(run, config), "config.json", "was changed")
    assert_refused(lambda: run_dir.open_run(str(run.path)), "config.json", "was changed")


def test_nothing_is_written_through_links(tmp_path: Path) -> None:
    run = saved(tmp_path / "run", configs.base())
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (run.path / ".lock").symlink_to(outside)
    with pytest.raises(UserError, match="symbolic link"), run_dir.lock_run(run):
        pass
    assert outside.read_text() == "mine"
    (run.path / ".lock").unlink()
    (run.path / ".lock").write_text("kept")
    with run_dir.lock_run(run):
        assert_refused(lambda: run_dir.lock_run(run).__enter__(), "another process is training")
    assert (run.path / ".lock").read_text() == "kept"
    (run.path / "rows").symlink_to(tmp_path)
    assert_refused(lambda: run_dir.refuse_links(run), "rows", "symbolic link")


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '"text"'])
def test_a_damaged_config_json_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    run = saved(tmp_path / "run", configs.base())
    run.config.write_text(content)
    assert_refused(lambda: run_dir.open_run(str(run.path)), "config.json")
    assert_refused(lambda: run_dir.run_state(run, configs.base()), "config.json")


def test_a_folder_whose_name_is_not_utf8_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    assert_refused(lambda: run_dir.run_state(RunDir(folder), ConfigDict()), "is not UTF-8")
    assert_refused(lambda: run_dir.open_run(str(folder)), "is not UTF-8")
    assert not folder.exists()


@pytest.mark.parametrize("damaged", ['{"test": 3}', '{"test": {"top1": 3}}', '{"test": {"top1": {"mean": NaN}}}', "[1]", "{"])
def test_damaged_results_are_ignored(damaged: str, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.results.write_text(damaged)
    assert run.known_results() == {}


def test_a_config_with_nan_is_damaged(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.config.write_text('{"seed": NaN}')
    assert_refused(lambda: run.read(run.config), "NaN is not valid JSON")
