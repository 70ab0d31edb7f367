"""The pages about data of one's own state what the code does: every kind of fault, and the output of a check."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.cli import main
from imgloc.data.checks.faults import KINDS
from tests import processes

DOCS = processes.ROOT / "docs"
ROW = re.compile(
    r"^\* - `(\w+)`((?:\\\*)*)( \((?:note|left out)\))?\n  - (.*?)\n  - (.*?)\n  - (.*?)(?=\n\* - |\n```)", re.DOTALL | re.MULTILINE
)
STARS = {"": "", "image": r"\*", "box": r"\*", "data": r"\*\*"}  # of what a fault makes unusable


def test_the_tables_of_faults_hold_every_kind_with_its_effect() -> None:
    rows = ROW.findall((DOCS / "data_faults.md").read_text())
    assert [kind for kind, *_ in rows] == list(KINDS)
    for kind, stars, note, meaning, effect, remedy in rows:
        mark = " (left out)" if KINDS[kind].left_out else "" if KINDS[kind].serious else " (note)"
        assert (stars, note) == (STARS[KINDS[kind].unusable], mark), kind
        assert " ".join(effect.split()) == KINDS[kind].effect
        assert meaning
        assert remedy


def test_a_check_prints_what_the_page_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "own_data.md").read_text()
    (labels,) = re.findall(r"<!-- faulty data: labels.csv -->\n```text\n(.*?)```", page, flags=re.DOTALL)
    (printed,) = re.findall(r"<!-- printed -->\n```text\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.csv").write_text(labels)
    for number, name in enumerate("abc"):
        pixels = np.random.default_rng(number).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.jpg")
    monkeypatch.setattr(sys, "argv", ["imgloc", "data", "check", str(tmp_path)])
    assert main.main() == 1
    assert capsys.readouterr().out == printed
