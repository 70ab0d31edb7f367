"""The sheet of heat maps: what lies where, and nothing written over that is not ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from imgloc import draw
from imgloc.reporting import heat_maps
from imgloc.reporting.heat_maps import CELL, GAP, HeatMap, SheetRow, write_sheet
from tests.refusals import assert_refused


def rows() -> list[SheetRow]:
    half = np.zeros((4, 4), np.float32)
    half[:, 2:] = 1.0
    maps = [HeatMap("grad_cam", half, (0.5, 0.0, 1.0, 1.0)), HeatMap("gradient", np.zeros((2, 2)))]
    return [SheetRow(np.full((100, 200, 3), 90, np.uint8), "a cat", maps), SheetRow(np.full((600, 500, 1), 10, np.uint8), "<b>", maps)]


def test_a_sheet_has_a_row_for_each_image_and_a_column_for_each_method(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    write_sheet(rows(), out)
    page = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert page.shape[1] == 3 * (CELL + GAP) + GAP
    assert page.shape[0] > CELL / 2 + CELL
    y = GAP + heat_maps.TITLE + 30
    plain, low, high = (page[y, GAP + column] for column in (20, CELL + GAP + 20, CELL + GAP + 3 * CELL // 4))
    assert (plain == 90).all()
    assert low[2] > low[1], "viridis is purple where a map is 0"
    assert high[0] > high[2], "and yellow where it is 1"
    edge = page[y, GAP + CELL + GAP + CELL // 2 : GAP + CELL + GAP + CELL // 2 + 3]
    assert (edge == draw.PREDICTED_COLOR).all(axis=1).any(), "the box has its left edge in the middle"
    write_sheet(rows(), out)  # again: it is ours


def test_other_files_and_names_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "mine.png")
    before = (tmp_path / "mine.png").read_bytes()
    assert_refused(lambda: write_sheet(rows(), tmp_path / "mine.png"), "mine.png")
    assert_refused(lambda: write_sheet(rows(), tmp_path / "sheet.jpg"), "ends in .png")
    assert (tmp_path / "mine.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]
