"""The wheel holds everything that the commands need: it is built, unpacked and used outside the checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.processes import ROOT, TINY, environment


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the wheel, as pip would install them."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(unpacked: Path, cwd: Path, cache: Path, *arguments: str) -> str:
    """Run Python with the unpacked wheel ahead of the editable install, and return what it prints."""
    variables = {**environment(cache), "PYTHONPATH": str(unpacked)}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_trains_by_recipe_name_evaluates_reports_and_locates(unpacked: Path, tmp_path: Path, cache: Path) -> None:
    def imgloc(*arguments: str) -> str:
        return python(unpacked, tmp_path, cache, "-m", "imgloc", *arguments)

    location = python(unpacked, tmp_path, cache, "-c", "import imgloc; print(imgloc.__file__)")
    assert location.strip() == str(unpacked / "imgloc" / "__init__.py")
    imgloc("train", "--config", "digits_lstm", "--workdir", "run", *TINY[1:])
    assert "top1" in imgloc("evaluate", "run")
    imgloc("report", "run")
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")
    imgloc("data", "show", "--config", "digits_cnn", "--count", "4", "--out", "digits.html")
    Image.new("L", (40, 30), 90).save(tmp_path / "grey.png")
    assert set(json.loads(imgloc("locate", "run", "grey.png"))) == {"path", "class", "score", "box"}


@pytest.mark.slow
def test_the_wheel_has_every_recipe_template_and_type_marker_and_nothing_else(unpacked: Path) -> None:
    held = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "imgloc").rglob("*") if path.suffix not in (".pyc", "")}
    recipes = {f"imgloc/configs/{path.name}" for path in (ROOT / "configs").glob("*.py")}
    assert {"imgloc/py.typed", "imgloc/reporting/page.html.j2"} <= package
    assert {name for name in held if not name.startswith("imgloc-")} == package | recipes
