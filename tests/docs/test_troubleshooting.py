"""The messages in docs/troubleshooting.md that need a folder of a certain kind are those that the commands print."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc import files
from imgloc.cli import main
from imgloc.config import schema
from imgloc.runs.run_dir import RunDir
from tests import processes

PAGE = (processes.ROOT / "docs" / "troubleshooting.md").read_text()
SHOWN = dict(re.findall(r"<!-- printed: (\w+) -->\n```text\n(.*?)```", PAGE, flags=re.DOTALL))
FOLDER = "--config.data.options.folder="
HEADER = "filename,class,xmin,ymin,xmax,ymax,split\n"
SPLITS = ("train",) * 6 + ("validation", "validation", "test", "test")


def images(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)


def table(folder: Path, label: str = "cat", inverted: int = 0) -> None:
    """Ten images with a box each, of which the first ones are inverted."""
    images(folder, [f"{number}.png" for number in range(len(SPLITS))])
    boxes = [(50, 10, 10, 40) if number < inverted else (10, 10, 50, 40) for number in range(len(SPLITS))]
    lines = [f"{n}.png,{label},{','.join(map(str, box))},{split}\n" for n, (box, split) in enumerate(zip(boxes, SPLITS, strict=True))]
    (folder / "labels.csv").write_text(HEADER + "".join(lines))


def train_on(folder: str) -> list[str]:
    return ["train", "--config", "raccoon", "--workdir", "runs/new", f"{FOLDER}{folder}"]


def mixed(work: Path) -> list[str]:
    table(work / "mixed")
    (work / "mixed" / "0.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    return ["data", "check", "mixed"]


def faulty(work: Path) -> list[str]:
    table(work / "faulty", inverted=2)
    return train_on("faulty")


def broken(work: Path) -> list[str]:
    table(work / "broken")
    for path in (work / "broken").glob("*.png"):
        path.write_bytes(b"")
    return train_on("broken")


def classes(work: Path) -> list[str]:
    images(work / "classes", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(6)])
    return train_on("classes")


def owls(work: Path) -> list[str]:
    table(work / "owls", "owl")
    return ["evaluate", "runs/quickstart", "--name", "owls", "--config.data.source=folder", f"{FOLDER}owls"]


def seen(work: Path) -> list[str]:
    return ["evaluate", "runs/quickstart", "--name", "seen", "--split", "train", "--config.data.source=mnist"]


def other_config(work: Path) -> list[str]:
    return ["train", *processes.TINY, "--config.train.steps=61", "--workdir", "runs/quickstart"]


def edited_rows(work: Path) -> list[str]:
    rows = work / "runs" / "quickstart" / "rows" / "test.jsonl"
    rows.write_text(rows.read_text().replace('"label": 1', '"label": 7', 1))
    return ["report", "runs/quickstart"]


def own_module(work: Path) -> list[str]:
    """The config of a run names another module from its beginning."""
    run = RunDir(work / "runs" / "quickstart")
    config, provenance = (json.loads(path.read_text()) for path in (run.config, run.provenance))
    config["model"]["name"] = "my_models.cnn"
    files.write_json(run.config, config)
    files.write_json(run.provenance, {**provenance, "config": files.fingerprint(schema.identity(config))})
    return ["evaluate", "runs/quickstart"]


def four_devices(work: Path) -> list[str]:
    recipe = "configs/digits_three_layer_cnn.py"
    return ["train", "--config", recipe, "--workdir", "runs/new", "--config.train.batch_size=6"]


def no_gpu(work: Path) -> list[str]:
    return ["train", "--config", "configs/digits_three_layer_cnn.py", "--workdir", "runs/new"]


SETUPS: dict[str, Callable[[Path], list[str]]] = {
    setup.__name__: setup
    for setup in (mixed, faulty, broken, classes, owls, seen, other_config, edited_rows, own_module, four_devices, no_gpu)
}
ENVIRONMENT: Mapping[str, Mapping[str, str]] = {  # of messages that depend on how JAX starts, in a process of its own
    "four_devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
    "no_gpu": {"JAX_PLATFORMS": "cuda"},
}


def test_each_message_has_its_setup() -> None:
    assert set(SHOWN) == set(SETUPS)


@pytest.fixture
def work(tmp_path: Path, evaluated_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a command runs."""
    (tmp_path / "configs").symlink_to(processes.ROOT / "configs")
    shutil.copytree(evaluated_run, tmp_path / "runs" / "quickstart")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", sorted(set(SETUPS) - set(ENVIRONMENT)))
def test_the_message_is_printed(name: str, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(SETUPS[name](work)) == 2
    assert_shown(name, capsys.readouterr().err, work)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_the_message_of_a_process_is_printed(name: str, work: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "imgloc", *SETUPS[name](work)]
    variables = {**processes.environment(cache), "PYTHONPATH": str(processes.ROOT), **ENVIRONMENT[name]}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert_shown(name, done.stderr, work)


def assert_shown(name: str, stderr: str, work: Path) -> None:
    """The last line is that of the page, in which the folder is /data."""
    assert stderr.splitlines()[-1].replace(os.path.realpath(work), "/data") == SHOWN[name].strip()
