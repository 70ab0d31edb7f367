"""Every code block of the documentation is executed or checked: see CONTRIBUTING.md, section Documentation, for the markers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from imgloc.errors import UserError
from tests import picture_folders, processes
from tests.docs import command_lines, execute, pages
from tests.docs.pages import Block

ALL = [block for page in pages.pages() for block in pages.blocks(page)]
COPIED = ("extending/recipe.md", "extending/experiment.md")  # test_extending runs them in a copy of the package
EXECUTED = sorted({block.page for block in ALL if block.runs and block.page not in COPIED})
MESSAGES = [block for block in ALL if "message" in block.markers]
WITH_COMMANDS = sorted({block.page for block in ALL if block.language == "bash" and not block.page.startswith("extending/")})
KNOWN = {"file", "run", "checked only", "data", "images", "expect", "message", "faulty data", "printed"}


def place(folder: Path, evaluated_run: Path) -> Path:
    """Fill a folder in which the blocks of a page run: a run, a photo, a folder of photos, the recipes."""
    shutil.copytree(evaluated_run, folder / "runs" / "quickstart")
    shutil.copytree(processes.ROOT / "configs", folder / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    Image.radial_gradient("L").resize((96, 64)).convert("RGB").save(folder / "photo.png")
    picture_folders.prepare(folder / "photos")
    return folder


def environment(cache: Path) -> dict[str, str]:
    """The processes import imgloc and tests from this checkout."""
    return {**processes.environment(cache), "PYTHONPATH": os.pathsep.join([str(processes.ROOT), os.environ.get("PYTHONPATH", "")])}


def test_markers_are_known() -> None:
    for page in pages.pages():
        found = (pages.MARKER.match(line) for line in page.read_text().splitlines())
        assert {marker[1] for marker in found if marker} <= KNOWN, pages.name(page)


def test_blocks_have_a_language_that_is_checked() -> None:
    checked = {"python", "bash", "text"}
    for block in ALL:
        assert block.language in checked or "data" in block.markers or "faulty data" in block.markers, f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "python"], ids=lambda block: f"{block.page}:{block.line}")
def test_python_compiles(block: Block) -> None:
    compile(block.text, f"{block.page}:{block.line}", "exec")


@pytest.mark.parametrize("page", EXECUTED)
def test_python_and_marked_commands_of_a_page_run(page: str, tmp_path: Path, evaluated_run: Path, cache: Path) -> None:
    folder = place(tmp_path, evaluated_run)
    command = [sys.executable, "-m", "tests.docs.execute", page]
    done = subprocess.run(command, cwd=folder, env=environment(cache), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_commands_fit_the_program(page: str) -> None:
    assert command_lines.faults(processes.ROOT, [page]) == []


@pytest.mark.parametrize("block", MESSAGES, ids=lambda block: f"{block.page}:{block.line}")
def test_messages_are_printed_as_written(block: Block, tmp_path: Path, evaluated_run: Path, cache: Path) -> None:
    folder = place(tmp_path, evaluated_run)
    shell = ["bash", "-c", execute.SHELL + block.markers["message"]]
    done = subprocess.run(shell, cwd=folder, env=environment(cache), capture_output=True, text=True, check=False)
    assert done.stderr.strip() == block.text.strip()
    assert done.returncode != 0, "a message of a failed command"


def test_wrong_commands_are_found() -> None:
    """The checks above can fail."""
    for command in (
        "imgloc train --config configs/digits_cnn.py --workdir runs/a --config.optim.rate=1",
        "imgloc train --config configs/no_such_recipe.py --workdir runs/a",
        "imgloc evaluate runs/a --spilt test",
        "imgloc score runs/a",
        "srun imgloc train --config configs/digits_cnn.py --workdir runs/a --distribute",
        "python experiments/no_such_experiment/run.py --table",
        "pip install '.[no_such_extra]'",
        "python -m no_such_module",
    ):
        with pytest.raises((AssertionError, UserError)):
            command_lines.check(next(pages.commands(command)), processes.ROOT)
    for command in ("CUDA_VISIBLE_DEVICES=0,1 imgloc report runs/a --out a.html", "python -m benchmarks step", "pip install -e '.[cuda]'"):
        command_lines.check(next(pages.commands(command)), processes.ROOT)
