"""imgloc data check, stats and show, and the report of imgloc train about faults in the data."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.cli import main
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from imgloc.training.data_faults import training_notes
from tests import planted_faults

RECIPE = "configs/digits_cnn.py"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images with VOC annotations, without faults."""
    folder = tmp_path_factory.mktemp("clean")
    planted_faults.write(planted_faults.clean(0), folder, "voc")
    return folder


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with planted faults."""
    folder = tmp_path_factory.mktemp("wrong")
    planted_faults.planted(folder, "csv", 0)
    return folder


def of_folder(folder: Path) -> list[str]:
    return ["--config", RECIPE, "--config.data.source=folder", f"--config.data.options.folder={folder}"]


def test_check_prints_one_line_for_each_fault_and_returns_an_exit_code(
    clean: Path, wrong: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["data", "check", str(clean)]) == 0
    recognised, several, result = capsys.readouterr().out.splitlines()
    assert recognised.startswith("read as voc: train ")
    assert several.startswith("20 of 40 images have several objects; task localize learns one object")
    assert result == "40 images: no faults"
    assert main.main(["data", "check", str(wrong), "--most", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum("[inverted_box]" in line for line in lines) == 2
    assert "... and 1 more [inverted_box]; --all prints them" in lines
    assert "2 inverted_box" in lines[-3]
    assert "1 edge_box" in lines[-2] or "2 edge_box" in lines[-2]
    assert main.main(["data", "check", str(wrong), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert main.main(["data", "check", *of_folder(wrong), "--all"]) == 1
    assert len([line for line in capsys.readouterr().out.splitlines() if line.endswith("]")]) == len(found["faults"])
    assert found["images"] == 40
    assert found["counts"]["inverted_box"] == 2
    assert found["serious"] == sum(fault["serious"] for fault in found["faults"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check"], "expected either FOLDER or --config RECIPE, got neither"),
        (["check", "nowhere"], "no such folder: 'nowhere'"),
        (["check", "nowhere", "--config", RECIPE], "expected either FOLDER or --config RECIPE, got both"),
        (["check", "tests", "--format", "vocc"], "did you mean 'voc'"),
        (["check", "tests"], "set --format to one"),
        (["check", "tests", "--most", "-1"], "--most must be at least 0, got -1"),
        (["check", "--config", RECIPE, "--format", "voc"], "--config.data.options.format"),
        (["check", "tests", "--config.data.threads=2"], "overrides require --config RECIPE"),
        (["stats", "--config", RECIPE, "--split", "tset"], "did you mean 'test'"),
        (["stats", "--config", RECIPE, "--median-of", "train+tset"], "did you mean 'test'"),
        (["stats", "--config", RECIPE, "--config.data.options.canvass=1"], "did you mean 'data.options.canvas'"),
        (["show", "tests"], "--out"),
        (["show", "tests", "--out", "sheet.jpg"], "ends in .html or .png"),
        (["show", "tests", "--out", "sheet.png", "--count", "0"], "got count 0"),
        (["show", "tests", "--out", "sheet.png", "--augmented"], "--augmented requires --config"),
    ],
)
def test_a_mistake_is_reported_in_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["data", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert expected in err
    assert not list(Path().glob("sheet.*"))


def test_stats_prints_the_values_of_its_json_output(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["data", "stats", str(clean), "--json", "--median-of", "train+validation"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["median_of"] == ["train", "validation"]
    assert {split: found["splits"][split]["images"] for split in found["splits"]} == {"train": 20, "validation": 10, "test": 10}
    entries = [entry for entry in planted_faults.clean(0) if entry.split != "test"]
    areas = [np.prod(entry.boxes_nx4[:, 2:] - entry.boxes_nx4[:, :2], axis=1) for entry in entries]
    sizes = [[entry.width, entry.height] * 2 for entry in entries]
    largest = [entry.boxes_nx4[np.argmax(area)] / size for entry, area, size in zip(entries, areas, sizes, strict=True)]
    median = found["splits"]["test"]["baselines"]["median box"]
    assert median["box"] == pytest.approx(np.median(largest, axis=0).tolist())
    assert main.main(["data", "stats", str(clean), "--median-of", "train+validation"]) == 0
    text = capsys.readouterr().out
    assert "train: 20 images, 30 boxes, 1.50 an image" in text
    assert "median box: the median of each edge over the largest box of each image of train+validation" in text
    (row,) = (line for line in text.splitlines() if line.startswith("test        median box"))
    assert row.split()[3:6] == [f"{100 * median['largest'][f'iou_{t}']:.2f}" for t in (30, 50, 70)]


def test_stats_of_a_recipe_and_of_missing_splits(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["data", "stats", "--config", RECIPE, "--split", "validation", "--median-of", "validation"]) == 0
    text = capsys.readouterr().out
    assert "\nvalidation: " in text
    assert "\ntrain: " not in text
    only = clean.parent / "only"
    planted_faults.write([e for e in planted_faults.clean(0) if e.split == "train"][:3], only, "coco")
    assert main.main(["data", "stats", str(only), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["splits"]) | set(found["missing"]) == {"train", "validation", "test"}
    assert sum(split["images"] for split in found["splits"].values()) == 3


def test_show_writes_a_page_and_augmented_images(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["data", "show", str(clean), "--split", "test", "--count", "4", "--out", str(tmp_path / "a.html")]) == 0
    assert capsys.readouterr().out == f"pictures: {tmp_path / 'a.html'}\n"
    page = (tmp_path / "a.html").read_text()
    assert page.count("<img") == 4
    assert "4 of the 10 images of split test, chosen at random (seed 0)" in page
    augmented = ["--augmented", "--count", "3", "--config.data.augment.name=light", "--out", str(tmp_path / "b.png")]
    assert main.main(["data", "show", *of_folder(clean), *augmented]) == 0
    assert (tmp_path / "b.png").stat().st_size > 1000


def test_undecodable_names_and_pillows_warnings_do_not_break_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "b\udcff"
    planted_faults.write(planted_faults.clean(0)[:3], folder, "voc")
    assert main.main(["data", "stats", str(folder)]) == 0
    assert "data: " in capsys.readouterr().out
    for name in ("cat", "dog"):
        (tmp_path / "cut" / name).mkdir(parents=True)
        picture = tmp_path / "cut" / name / "a.tif"
        Image.new("RGB", (100, 100)).save(picture, description="x" * 5000)
        picture.write_bytes(picture.read_bytes()[:1000])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main.main(["data", "check", str(tmp_path / "cut")]) == 1
    assert "2 unreadable_image" in capsys.readouterr().out
    assert not caught


def test_train_reports_faults_first(clean: Path, wrong: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, has_faults in ((clean, False), (wrong, True)):
        # There are not that many devices, so that nothing is trained.
        command = ["train", "--config", RECIPE, "--workdir", str(tmp_path / "run"), "--allow-faults", "--config.devices.data=77"]
        command += of_folder(folder)[2:]
        assert main.main(command) == 2
        out, err = capsys.readouterr()
        assert out == ""
        several, *faults, refusal = err.splitlines()
        assert "20 of 40 images have several objects" in several
        assert bool(faults) is has_faults
        assert "77" in refusal
    assert len(faults) == 1
    assert "faults in the data" in faults[0]
    assert "2 inverted_box" in faults[0]
    assert "1 missing_image" in faults[0]
    check = faults[0].rpartition("see: ")[2].split()
    assert check[:5] == ["imgloc", "data", "check", "--config", RECIPE]
    assert main.main(check[1:]) == 1
    capsys.readouterr()
    config = override(read_recipe(RECIPE))
    assert list(training_notes(config, tmp_path, allow_faults=False, command="")) == [], "its source has no quick check"
