"""The examples of docs/extending, verbatim: a new model, loss, data set and metric in a copy of the package, trained and scored."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.docs import pages

PAGES = sorted((pages.DOCS / "extending").glob("*.md"))
BLOCKS = [block for page in PAGES for block in pages.blocks(page)]


def example_files() -> dict[str, str]:
    """Path and content of every block that follows `<!-- file: PATH -->`."""
    return {block.markers["file"]: block.text for block in BLOCKS if "file" in block.markers}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the files of the pages in it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("imgloc", "configs", "tests", "docs", "scripts"):
        shutil.copytree(processes.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    for name in ("pyproject.toml",):
        shutil.copy(processes.ROOT / name, folder / name)
    for path, content in example_files().items():
        assert not (folder / path).exists(), f"{path} is there already"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def test_there_is_an_example_of_each() -> None:
    rooms = {str(Path(path).parent) for path in example_files()}
    assert rooms == {
        "imgloc/models", "imgloc/losses", "imgloc/data/sources", "imgloc/data/batch_transforms", "imgloc/tasks",
        "imgloc/evaluation/metrics", "imgloc/evaluation/baselines", "imgloc/inference/exports", "imgloc/nn/cells",
        "imgloc/models/backbones", "imgloc/models/score_map_heads",
        "imgloc/losses/assignments", "imgloc/losses/matchings", "imgloc/explanation/methods", "imgloc/operations",
        "imgloc/sweeps/executors", "configs", "experiments/two_rates",
    }  # fmt: skip


def printed_by(page: str, copy: Path, cache: Path) -> dict[str, str]:
    """What the commands that a page runs print, by the name of the command."""
    (commands,) = [block.text for block in BLOCKS if "run" in block.markers and block.page == page]
    printed = {}
    for line in commands.strip().splitlines():
        command, *arguments = line.split()
        assert command == "imgloc"
        printed[arguments[0]] = processes.run(*arguments, cache=cache, cwd=copy).stdout
    return printed


def test_the_example_experiment_is_made_and_reproduced(copy: Path, cache: Path) -> None:
    printed = printed_by("extending/experiment.md", copy, cache)
    assert "| 20 steps | class correct | parameters | steps | training |" in printed["experiment"]
    assert "| low rate |" in printed["experiment"]
    assert "1 of 1 cells agree, 1 of them to the last digit" in printed["reproduce"]
    saved = json.loads((copy / "experiments" / "two_rates" / "results.json").read_text())
    assert {arm: [run["seed"] for run in runs] for arm, runs in saved["runs"].items()} == {"low rate": [0]}


def test_every_command_knows_the_task_of_the_examples(copy: Path, cache: Path) -> None:
    printed = printed_by("extending/recipe.md", copy, cache)
    run = copy / "runs" / "rectangles"
    results = json.loads((run / "results.json").read_text())
    assert set(results) == {"test", "test/mean_count"}
    assert results["test"]["counting_error"]["mean"] < results["test/mean_count"]["counting_error"]["mean"]
    assert "counting_error/size/small" in results["test"]
    assert "mean count" in printed["evaluate"]
    exported = (run / "exports" / "test" / "answers" / "answers.jsonl").read_text().splitlines()
    assert set(json.loads(exported[0])) == {"image", "count"}
    assert len(exported) == results["test"]["counting_error"]["n"]
    validations = [record for record in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if record["kind"] == "validation"]
    best = min(validations, key=lambda record: record["counting_error"])
    assert len({record["counting_error"] for record in validations}) == len(validations) == 4
    assert json.loads((run / "model" / "bundle.json").read_text())["step"] == best["step"], "the lowest error is the best"
    page = (run / "report.html").read_text()
    for text in ("Counting error", "predicts the number of objects in each image", "by the absolute error of the count"):
        assert text in page
    answer = json.loads(printed["locate"])
    assert set(answer) == {"path", "count"}
    assert answer["path"] == "runs/rectangles/thumbnails/test/test-0.png"
    assert isinstance(answer["count"], int)
    assert "counting_error" in printed["sweep"]
    assert "2 of 2 points finished" in printed["sweep"]


def test_commands_of_the_pages_fit_the_program(copy: Path, cache: Path) -> None:
    (copy / "my_package").mkdir()  # what a reader would have
    for name in ("imgloc/evaluation/metrics/count.py",):
        shutil.copy(copy / name, copy / "my_package")
    check = [sys.executable, "-m", "tests.docs.command_lines", *(pages.name(page) for page in PAGES)]
    done = subprocess.run(check, cwd=copy, env=processes.environment(cache), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == ""


def test_the_example_cell_computes_its_equation(copy: Path, cache: Path) -> None:
    code = """
import jax, numpy as np
from imgloc.nn.cell import make_layer
x, mask = np.ones((1, 5, 2), np.float32), np.array([[True, True, False, True, True]])
states, variables = make_layer({"name": "leaky", "rate": 0.25}, 3).init_with_output(jax.random.key(0), x, mask)
params = variables["params"]
h, expected = np.zeros(3), []
for step in range(5):
    if mask[0, step]:
        h = h + 0.25 * (np.tanh(x[0, step] @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"]) - h)
    expected.append(h)
np.testing.assert_allclose(states[0], expected, rtol=1e-5)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=copy, env=processes.environment(cache), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_examples_hold_the_contracts_and_the_style(copy: Path, cache: Path) -> None:
    check = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    check += ["tests/test_contracts.py", "tests/test_architecture.py", "tests/explanation/test_methods.py", "tests/operations"]
    names = (
        "two_layers", "nearest_mean", "leaky", "count", "rectangles", "brightness", "answers", "strided", "inside", "one_way",
        "positive_gradient", "posterize",
    )  # fmt: skip
    chosen = ["-k", " or ".join(names)]
    done = subprocess.run([*check, *chosen], cwd=copy, env=processes.environment(cache), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    lint = [sys.executable, "-m", "ruff", "check", *example_files()]
    linted = subprocess.run(lint, cwd=copy, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def test_the_example_operation_refuses_levels_without_a_difference(copy: Path, cache: Path) -> None:
    code = """
import numpy as np
from imgloc.errors import UserError
from imgloc.operations.posterize import posterize
assert set(np.unique(posterize(np.linspace(0, 1, 12).reshape(1, 3, 4, 1), levels=2))) == {0, 1}
try:
    posterize(np.zeros((1, 2, 2, 1)), levels=1)
except UserError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=copy, env=processes.environment(cache), capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "posterize.levels must be at least 2, got 1", done.stderr[-2000:]
