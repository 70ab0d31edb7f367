"""The README's examples, verbatim: a new model, loss, data set and metric in a copy of the package, trained and scored."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes

README = (processes.ROOT / "README.md").read_text()


def example_files() -> dict[str, str]:
    """Path and content of every block that follows `<!-- file: PATH -->`."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", README, flags=re.DOTALL))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the README's files in it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("imgloc", "configs", "tests"):
        shutil.copytree(processes.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(processes.ROOT / name, folder / name)
    for path, content in example_files().items():
        assert not (folder / path).exists(), f"{path} is there already"
        (folder / path).write_text(content)
    return folder


def test_there_is_an_example_of_each() -> None:
    rooms = {str(Path(path).parent) for path in example_files()}
    assert rooms == {"imgloc/models", "imgloc/losses", "imgloc/data/sources", "imgloc/metrics", "imgloc/nn/cells", "configs"}


def test_the_examples_train_and_are_scored(copy: Path, cache: Path) -> None:
    (commands,) = re.findall(r"<!-- run -->\n```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in commands.strip().splitlines():
        command, *arguments = line.split()
        assert command == "imgloc"
        processes.run(*arguments, cache=cache, cwd=copy)
    results = json.loads((copy / "runs" / "rectangles" / "results.json").read_text())
    assert results["test"]["center_inside"]["mean"] > results["test/median_box"]["center_inside"]["mean"]
    assert results["test"]["top1"]["mean"] > 0.8
    assert "center_inside/class/lying" in results["test"]


def test_the_example_cell_drifts_towards_what_it_reads(copy: Path, cache: Path) -> None:
    code = """
import jax, numpy as np
from imgloc.nn.cell import make_layer
x, mask = np.ones((1, 5, 2), np.float32), np.array([[True, True, False, True, True]])
states, variables = make_layer("leaky(rate=0.25)", 3).init_with_output(jax.random.key(0), x, mask)
target = np.tanh(x[0, 0] @ variables["params"]["Dense_0"]["kernel"])
np.testing.assert_allclose(states[0], target * (1 - 0.75 ** np.array([1, 2, 2, 3, 4]))[:, None], rtol=1e-5)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=copy, env=processes.environment(cache), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_examples_hold_the_contracts_and_the_style(copy: Path, cache: Path) -> None:
    check = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    check += ["tests/test_contracts.py", "tests/test_architecture.py"]
    chosen = ["-k", "two_layers or leaky or center or rectangles or levels"]
    done = subprocess.run([*check, *chosen], cwd=copy, env=processes.environment(cache), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    lint = [sys.executable, "-m", "ruff", "check", *example_files()]
    linted = subprocess.run(lint, cwd=copy, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def test_every_file_and_folder_that_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (processes.ROOT / target).exists(), target
