"""The examples of annotation files in the documentation are read as the pages state."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.data.annotated.reader import read_folder
from imgloc.data.sources import folder as folder_source
from tests.docs import pages

PAGES = [page for page in pages.pages() if pages.comments(page, "images")]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """The folder in which each page's images and annotation files are written."""
    folders = {}
    for page in PAGES:
        folder = folders[page] = tmp_path_factory.mktemp(page.stem)
        for number, entry in enumerate(pages.comments(page, "images")):
            name, width, height = re.fullmatch(r"(\S+) (\d+)x(\d+)", entry).groups()  # type: ignore[union-attr]
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (int(height), int(width), 3), np.uint8)
            Image.fromarray(pixels).save(folder / name)
        for block in pages.blocks(page):
            if "data" in block.markers:
                path = folder / block.markers["data"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
    return folders


def formats(page: Path) -> list[str]:
    """The folders of a page: the first parts of the names of its images."""
    return sorted({entry.split("/")[0] for entry in pages.comments(page, "images")})


CASES = [pytest.param(page, name, id=f"{pages.name(page)}-{name}") for page in PAGES for name in formats(page)]


@pytest.mark.parametrize(("page", "name"), CASES)
def test_example_data_has_no_faults(page: Path, name: str, written: dict[Path, Path]) -> None:
    # Notes, as of an image without boxes, are not faults. No split is drawn of these few images.
    findings = folder_source.check_data(thorough=True, folder=str(written[page] / name), validation=0.0, test=0.0)
    assert [f"{fault.where}: {fault.what} [{fault.kind}]" for fault in findings.serious] == []


@pytest.mark.parametrize(("page", "name"), CASES)
def test_boxes_are_those_of_the_page(page: Path, name: str, written: dict[Path, Path]) -> None:
    expected = defaultdict(list)
    for entry in pages.comments(page, "expect"):
        file, label, *corners = re.fullmatch(r"(\S+) (.+) ([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+)", entry).groups()  # type: ignore[union-attr]
        if file.split("/")[0] == name:
            expected[file.partition("/")[2]].append((label, *map(float, corners)))
    actual = {}
    for image in read_folder(written[page] / name).images:
        with Image.open(written[page] / name / image.file) as opened:
            scale = np.array(opened.size * 2 if image.relative else [1.0] * 4)
        if len(image.boxes_nx4):
            corners_nx4 = np.round(image.boxes_nx4 * scale, 3)
            actual[image.file] = sorted((label, *map(float, box)) for label, box in zip(image.names, corners_nx4, strict=True))
    assert actual == {file: sorted(boxes) for file, boxes in expected.items()}
