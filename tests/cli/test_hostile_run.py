"""A run folder and a trained model from elsewhere: nothing in them is executed, and no damage changes an answer in silence."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgloc import files
from imgloc.cli import main
from imgloc.config import saved, schema
from tests.bundles import rewrite_header

PLACES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "task": lambda config: config.update(task="run.evil.thing"),
    "model": lambda config: config["model"].update(name="run.evil.thing"),
    "cell": lambda config: config["model"].update(cell={"name": "run.evil.thing"}),
    "source": lambda config: config["data"].update(source="run.evil.thing"),
    "augmentation": lambda config: config["data"]["augment"].update(name="run.evil.thing"),
    "batch transform": lambda config: config["data"].update(batch_transforms=[{"name": "run.evil.thing"}]),
    "loss": lambda config: config["losses"].update(evil={"name": "run.evil.thing", "weight": 1.0}),
}
EVIL = "import pathlib\npathlib.Path('executed').write_text('yes')\n"
DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "gone": lambda content, _: content,  # the file is removed
    "empty": lambda content, _: b"",
    "half": lambda content, _: content[: len(content) // 2],
    "zeros": lambda content, _: bytes(len(content)),
    "deep": lambda content, _: b"[" * 100_000,
    "null": lambda content, _: b"null",
    "empty object": lambda content, _: b"{}",
    "not UTF-8": lambda content, _: b"\xff" + content,
    "doubled": lambda content, _: content + content,
}


def flipped(content: bytes, rng: random.Random) -> bytes:
    """The content with one flipped bit."""
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("place", PLACES)
def test_no_key_of_a_saved_config_imports_a_module(
    place: str, evaluated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(saved, "_allowed", set())
    run = tmp_path / "run"
    shutil.copytree(evaluated_run, run)
    (run / "evil").mkdir()
    for name in ("__init__", "thing"):
        (run / "evil" / f"{name}.py").write_text(EVIL)
    (run / "__init__.py").write_text(EVIL)
    config = files.read_json(run / "config.json")
    PLACES[place](config)
    files.write_json(run / "config.json", config)
    provenance = files.read_json(run / "provenance.json")  # an attacker makes the fingerprints agree
    files.write_json(run / "provenance.json", {**provenance, "config": files.fingerprint(schema.identity(config))})
    rewrite_header(run / "model", lambda header: header.update(config=config, task=config["task"]))
    picture = next((run / "thumbnails" / "test").glob("*.png"))
    for arguments in (
        ["evaluate", "run"],
        ["report", "run", "--out", "x.html"],
        ["locate", "run", str(picture)],
        ["locate", "run/model", str(picture)],
    ):
        assert main.main(arguments) == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1
        assert "run.evil.thing" in err
        assert "--allow-import run.evil.thing" in err
    assert not (tmp_path / "executed").exists()


def answers(run: Path, picture: Path, page: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[int, str, str]]:
    """Exit code, standard output and standard error of each command that reads a run."""
    commands = {
        "locate": ["locate", str(run), str(picture)],
        "evaluate": ["evaluate", str(run)],
        "report": ["report", str(run), "--out", str(page)],
    }
    results = {}
    for name, arguments in commands.items():
        code = main.main(arguments)
        captured = capsys.readouterr()
        results[name] = (code, captured.out, captured.err)
    return results


FILES = ("config.json", "data.json", "groups.npy", "provenance.json", "finished.json", "model/bundle.json", "model/variables.safetensors",
         "rows/test.jsonl", "rows/test.meta.json", "results.json", "baselines.json", "metrics.jsonl")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_in_one_line_or_changes_no_answer(
    name: str, evaluated_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = next((evaluated_run / "thumbnails" / "test").glob("*.png"))
    shutil.copytree(evaluated_run, tmp_path / "run")
    page = tmp_path / "page.html"
    whole = answers(tmp_path / "run", picture, page, capsys)
    assert [code for code, _, _ in whole.values()] == [0, 0, 0]
    scores = json.loads((tmp_path / "run" / "results.json").read_text())
    content = (evaluated_run / name).read_bytes()
    rng = random.Random(name)
    damages = [*DAMAGES.items(), *((f"bit {i}", flipped) for i in range(3))]
    for kind, damage in damages:
        shutil.rmtree(tmp_path / "run")
        shutil.copytree(evaluated_run, tmp_path / "run")
        if kind == "gone":
            (tmp_path / "run" / name).unlink()
        else:
            (tmp_path / "run" / name).write_bytes(damage(content, rng))
        for command, (code, out, err) in answers(tmp_path / "run", picture, page, capsys).items():
            assert "Traceback" not in err, (name, kind, command)
            if code == 0 and command != "report":
                assert out == whole[command][1], (name, kind, command)
            if code == 0 and command == "evaluate":
                assert json.loads((tmp_path / "run" / "results.json").read_text()) == scores, (name, kind)
            if code != 0:
                assert code == 2, (name, kind, command, err)
                assert len(err.splitlines()) == 1, (name, kind, command, err)
