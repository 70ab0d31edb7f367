"""The programs beside imgloc's detector: a COCO folder has the pixels and boxes of its source; commands run in turns."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

from imgloc.config.build import make_source
from imgloc.config.recipes import read_recipe
from imgloc.config.schema import base
from tests.processes import ROOT

SCRIPTS = ROOT / "experiments" / "detection"
OVERRIDES = ("--config.data.source=cluttered_mnist", "--config.data.options.per_canvas=3", "--config.data.options.canvas=96")
COUNTS = {"train": 3, "validation": 2, "test": 4}


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPTS / script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_coco_folder_has_the_pixels_and_boxes_of_its_source(tmp_path: Path) -> None:
    counts = [f"--{split}={count}" for split, count in COUNTS.items()]
    done = run("write_coco.py", "--config", "configs/rows_mnist.py", "--out", str(tmp_path), *counts, *OVERRIDES, "--config.seed=3")
    assert done.returncode == 0, done.stderr
    data = read_recipe("configs/rows_mnist.py").data
    data.source, data.options = "cluttered_mnist", {"per_canvas": 3, "canvas": 96}
    folder = base().data
    folder.source, folder.options = "folder", {"folder": str(tmp_path), "format": "coco", "channels": 1}
    for split, count in COUNTS.items():
        written = make_source(folder, split, 0)
        made = {f"{Path(example.id).stem}.png": example for example in map(make_source(data, split, 3).__getitem__, range(count))}
        assert written.info.classes == tuple("0123456789")
        assert len(written) == count
        for example in map(written.__getitem__, range(count)):
            expected = made.pop(Path(example.id).name)
            np.testing.assert_array_equal(example.image_hxwxc, expected.image_hxwxc)
            order, expected_order = (np.lexsort(one.boxes_nx4.T) for one in (example, expected))
            np.testing.assert_allclose(example.boxes_nx4[order], expected.boxes_nx4[expected_order], atol=1e-6)
            np.testing.assert_array_equal(example.labels_n[order], expected.labels_n[expected_order])


def test_an_endless_split_needs_a_number(tmp_path: Path) -> None:
    done = run("write_coco.py", "--config", "configs/digits_cnn.py", "--out", str(tmp_path))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "--train" in done.stderr


def test_commands_take_turns_and_medians_are_printed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    commands = []
    for name, times in {"a": (1, 2, 6), "b": (5, 5, 5)}.items():
        code = (
            f"import json, os; log = open({str(log)!r}, 'a+'); log.seek(0); n = log.read().count({name!r}); log.write({name!r}); "
            f"print('progress'); environ = dict(wait=os.environ['OMP_WAIT_POLICY'], arenas=os.environ.get('MALLOC_ARENA_MAX')); "
            f"print(json.dumps(dict(step_ms={times}[n], **environ)))"
        )
        commands.append(shlex.join([sys.executable, "-c", code]))
    done = run("in_turns.py", "--processes", "3", *commands)
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert log.read_text() == "ababab"
    assert (first["step_ms"], second["step_ms"]) == ([2, 1, 6], [5, 5, 5])
    assert first["wait"] == "passive"
    assert first["arenas"] == second["arenas"]
    assert first["arenas"] is not None


def test_a_command_that_fails_ends_the_program() -> None:
    done = run("in_turns.py", shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
    assert done.returncode == 1
    assert "exit code 3" in done.stderr
