"""An experiment trains in processes, continues after it was killed, and is reproduced; a planted bug is found in its cells alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from imgloc import files
from tests import processes
from tests.experiments import tiny

MODULES = ("--allow-import", "own.line", "--allow-import", "own.squares")


def measured(runs: Mapping[str, Any]) -> list[Any]:
    """The results and validation curves of runs, without what depends on the processes that made them."""
    return [(arm, run["seed"], run["results"], run["validation"]) for arm, of_arm in runs.items() for run in of_arm]


@pytest.mark.slow
def test_an_experiment_continues_after_it_was_killed_and_is_reproduced_and_a_bug_is_found(tmp_path: Path, cache: Path) -> None:
    place = tiny.write(tmp_path / "tiny", '(Evaluation("last"),)')
    process = processes.start("experiment", ".", cache=cache, cwd=place)
    first = place / "runs" / "tiny" / "plain-0"
    while not (first / "finished.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = processes.run("experiment", ".", cache=cache, cwd=place)
    runs = files.read_json(place / "results.json")["runs"]
    assert {arm: [run["seed"] for run in of_arm] for arm, of_arm in runs.items()} == {"plain": [0, 1], "louder": [0, 1]}
    assert [run["steps"] for of_arm in runs.values() for run in of_arm] == [40] * 4
    assert runs["plain"][0]["processes"] == 1, "a finished run is kept"
    assert "| louder |" in done.stdout
    assert "test@last" in files.read_json(place / "runs" / "tiny" / "louder-1" / "results.json")
    summary = files.read_json(place / "runs" / "tiny" / "sweep.json")
    assert [point["state"] for point in summary["points"]] == ["finished"] * 4
    processes.run("experiment", ".", "--arms", "plain", "--seeds", "0", cache=cache, cwd=place)
    assert files.read_json(place / "runs" / "tiny" / "sweep.json")["points"] == summary["points"], "the other runs stay"
    compared = json.loads(processes.run("compare", "runs/tiny", "--json", *MODULES, cache=cache, cwd=place).stdout)
    assert len(compared["runs"]) == 2

    before = (place / "results.json").read_bytes()
    in_this_process = ("--executor", "in_process", "--workdir", "runs/one_process")
    processes.run("experiment", ".", *in_this_process, cache=cache, cwd=place)
    repeated = files.read_json(place / "results.json")["runs"]
    assert measured(repeated) == measured(runs)
    assert {run["command"].split()[1] for of_arm in repeated.values() for run in of_arm} == {"experiment"}
    (place / "results.json").write_bytes(before)
    again = json.loads(processes.run("reproduce", ".", "--seeds", "0", "--json", "--executor", "in_process", cache=cache, cwd=place).stdout)
    assert again["agrees"]
    assert {(cell["arm"], cell["metric"], cell["verdict"]) for cell in again["cells"]} == {
        (arm, metric, "equal") for arm in ("plain", "louder") for metric in ("top1", "mean_iou")
    }
    tiny.plant_a_bug(place)
    arguments = ("--seeds", "0", "--json", "--workdir", "runs/bug")
    found = json.loads(processes.run("reproduce", ".", *arguments, cache=cache, cwd=place, code=1).stdout)
    verdicts = {(cell["arm"], cell["metric"]): cell["verdict"] for cell in found["cells"]}
    assert verdicts["louder", "mean_iou"] == "differs"
    assert verdicts["plain", "mean_iou"] == verdicts["plain", "top1"] == "equal"
    assert (place / "results.json").read_bytes() == before
