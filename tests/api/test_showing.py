"""Sheets of the results of operations on images, in Python and as a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import imgloc
from imgloc.api.showing import parse_operation
from imgloc.cli.main import main
from imgloc.config.build import make_steps
from imgloc.config.resolve import complete_operation
from imgloc.reporting import feature_sheet
from tests.refusals import assert_refused


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    Image.fromarray(skimage.data.chelsea()[60:220, 60:280]).save(path)
    return path


def cell(sheet: Path, place: int) -> np.ndarray:
    """The pixels of a picture in the first row; each is 220 x 160 pixels."""
    left, top = feature_sheet.GAP + place * (220 + feature_sheet.GAP), feature_sheet.GAP + feature_sheet.LINE
    return np.asarray(Image.open(sheet).convert("RGB"))[top : top + 160, left : left + 220].astype(np.float64)


def test_each_picture_is_that_of_its_operation(photo: Path, tmp_path: Path) -> None:
    operations = ["gamma:exponent=2", {"name": "gaussian", "sigma": 4.0}, "canny"]
    out = imgloc.show_features(str(photo), operations, tmp_path / "sheet.png", size=220)
    own = cell(out, 0)
    assert np.abs(cell(out, 1) / 255 - (own / 255) ** 2).mean() < 0.02
    rough = [np.abs(np.diff(cell(out, place), axis=0)).mean() for place in (0, 2)]
    assert rough[1] < 0.5 * rough[0]
    assert set(np.unique(np.asarray(Image.open(out))[-1])) == set(feature_sheet.PAPER)
    edges = cell(out, 3)
    assert 0 < (edges > 127).mean() < 0.3


def test_the_command_writes_a_row_for_each_image_and_replaces_its_own_sheet(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "features.png"
    heights = []
    for images in ([photo], [photo, photo]):
        assert main(["show-features", *map(str, images), "--ops", "gamma", "--size", "64", "--out", str(out)]) == 0
        heights.append(Image.open(out).height)
    assert capsys.readouterr().out == f"pictures: {out}\n" * 2
    assert heights[1] == 2 * heights[0] - feature_sheet.GAP


def test_the_list_has_every_operation_as_it_may_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show-features", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "gamma:exponent=0.5: pixels to a power, which makes dark parts brighter or darker" in lines
    assert parse_operation("gamma:exponent=0.5") == {"name": "gamma", "exponent": 0.5}
    assert parse_operation("lbp:method=ror:points=4") == {"name": "lbp", "method": "ror", "points": 4}


def test_mistakes_are_refused_before_anything_is_written(photo: Path, tmp_path: Path) -> None:
    def show(*operations: str, out: str = "new.png", size: int = 64) -> None:
        imgloc.show_features(photo, operations, tmp_path / out, size=size)

    assert_refused(lambda: show("cany"), "unknown operation 'cany'; did you mean 'canny'?")  # misspelled
    assert_refused(lambda: show("canny:sigm=2"), "did you mean 'operations (canny).sigma'?")  # misspelled
    assert_refused(lambda: show("canny:sigma=thick"), "operations (canny).sigma must be of type float")
    assert_refused(lambda: show("canny:sigma"), "'sigma' of operation 'canny:sigma' is not an option; expected OPTION=VALUE")
    assert_refused(lambda: show("canny", out="new.jpg"), "expected a name that ends in .png")
    assert_refused(lambda: show("canny", out="cat.png"), "which imgloc did not write")
    assert_refused(lambda: show("canny", size=0), "size must be at least 1 pixel, got 0")
    assert_refused(lambda: show(), "at least one image and one operation")
    assert_refused(lambda: imgloc.show_features(tmp_path / "none.png", ("gamma",), tmp_path / "new.png"), "none.png")
    assert not (tmp_path / "new.png").exists()


def test_the_command_needs_images_or_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show-features"]) == 2
    assert main(["show-features", "--list", "photo.png"]) == 2
    assert main(["show-feature"]) == 2
    assert "did you mean 'show-features'?" in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 4, 8, 11])
def test_every_cell_of_histograms_is_drawn(size: int) -> None:
    (step,) = make_steps([complete_operation({"name": "hog", "cell": size})])
    image = np.random.default_rng(0).uniform(size=(37, 45, 1)).astype(np.float32)
    picture = step.picture(np.asarray(step.function(image[None]))[0])
    assert picture.shape == image.shape
    rows, columns = 37 // size, 45 // size
    cells = picture[: rows * size, : columns * size].reshape(rows, size, columns, size)
    assert (cells.max(axis=(1, 3))[1:-1, 1:-1] > 0).all()  # pixels of the border have no gradient
    assert len(np.unique(cells.sum(axis=(1, 3)).round(4))) > 0.5 * rows * columns, "each has its own lines"
