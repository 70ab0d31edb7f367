"""imgloc data check, stats and show, and the report of imgloc train about faults in the data."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.api.data import data_config
from imgloc.cli import main
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from imgloc.training.data_faults import training_notes
from tests import planted_faults
from tests.refusals import assert_refused

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
    assert several == "20 of 40 images have several objects; the task of a recipe decides which are learned: detect and track learn all"
    assert result == "40 images: no faults"
    assert main.main(["data", "check", str(wrong), "--most", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum("[inverted_box]" in line for line in lines) == 2
    assert "... and 1 more [inverted_box]; --all prints them" in lines
    (left_out,), (notes,) = ([line for line in lines if line.startswith(title)] for title in ("left out: ", "notes: "))
    assert "2 inverted_box" in left_out
    assert "1 edge_box" in notes or "2 edge_box" in notes
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
        (["check", "tests"], "FOLDER must name a folder of images and their annotations"),
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


def detector_of(folder: Path, *flags: str) -> list[str]:
    return ["--config", "bccd", f"--config.data.options.folder={folder}", *flags]


@pytest.mark.parametrize("command", ["check", "stats"])
def test_objects_are_noted_as_the_task_of_the_recipe_learns_them(command: str, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*arguments: str) -> str:
        assert main.main(["data", command, *arguments]) == 0
        return capsys.readouterr().out

    assert "task localize learns one object" in printed(*of_folder(clean))
    for most in (0, 2):  # nothing is lost
        text = printed(*detector_of(clean, f"--config.data.max_objects={most}"))
        assert "several objects" not in text
        assert "are not learned" not in text
    text = printed(*detector_of(clean, "--config.data.max_objects=1"))
    assert "10 of 20 training images have more than data.max_objects = 1 objects: 10 of 30 objects (33.33%) are not learned" in text
    assert text.count("are not learned") == 1


def test_stats_counts_the_images_that_contain_a_class(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [entry for entry in planted_faults.clean(0) if entry.split == "train"]
    names = sorted({name for entry in entries for name in entry.names})
    contain = {name: sum(name in entry.names for entry in entries) for name in names}
    boxes = {name: sum(entry.names.count(name) for entry in entries) for name in names}
    assert main.main(["data", "stats", *detector_of(clean), "--split", "train"]) == 0
    text = capsys.readouterr().out
    assert all(f"{name} in {contain[name]} images, {boxes[name]} boxes" in text for name in names)
    assert "own class" not in text
    assert main.main(["data", "stats", *of_folder(clean), "--split", "train"]) == 0
    assert "images (the image's own class in " in capsys.readouterr().out
    assert main.main(["data", "stats", *of_folder(clean), "--split", "train", "--json"]) == 0
    classes = json.loads(capsys.readouterr().out)["splits"]["train"]["classes"]
    assert {entry["name"]: entry["images"] for entry in classes} == contain
    assert sum(entry["image_labels"] for entry in classes) == len(entries) < sum(contain.values())


def test_the_map_of_small_boxes_is_not_blank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of many small boxes covers little of the image, so that the shares are far below 10 % everywhere."""
    folder = tmp_path / "small"
    folder.mkdir()
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for i in range(64):
        Image.new("RGB", (160, 80), (i, 0, 0)).save(folder / f"{i}.png")
        x, y = 20 * (i % 8), 10 * (i // 8)
        rows.append(f"{i}.png,160,80,cell,{x},{y},{x + 20},{y + 10}")
    (folder / "labels.csv").write_text("\n".join(rows))
    splits = ["--config.data.options.validation=0", "--config.data.options.test=0"]
    assert main.main(["data", "stats", *of_folder(folder), *splits, "--split", "train"]) == 0
    text = capsys.readouterr().out
    drawn = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    assert drawn == ["|" + "@" * 16 + "|"] * 8
    assert "(@: 1.6 %, blank: below a tenth of that)" in text


def test_faults_that_training_leaves_out_fail_only_a_strict_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def check(*flags: str) -> tuple[int, list[str]]:
        code = main.main(["data", "check", str(tmp_path), *flags])
        return code, capsys.readouterr().out.splitlines()

    entries = planted_faults.clean(0)
    planted_faults.write(entries, tmp_path, "csv")
    assert check("--strict")[0] == 0, "a folder without faults"
    (tmp_path / entries[0].file).unlink()
    code, lines = check()
    assert code == 0
    result = "40 images: 1 fault that would affect training or its metrics, which training leaves out"
    assert lines[-2:] == ["left out: 1 missing_image", result]
    assert check("--strict")[0] == 1
    assert json.loads("".join(check("--json")[1]))["left_out"] == 1
    for entry in entries[1:5]:
        (tmp_path / entry.file).unlink()
    code, lines = check()
    assert code == 1
    assert lines[-2].startswith("imgloc train refuses the data: 12% of the annotated images are unusable (data.max_unusable is 0.1)")
    assert json.loads("".join(check("--json")[1]))["refused"] in lines[-2]
    config = data_config(tmp_path)
    assert_refused(lambda: list(training_notes(config, tmp_path / "run", allow_faults=False, command="")), lines[-2].partition(": ")[2])


def test_a_fault_that_makes_training_wrong_fails_every_check(tmp_path: Path) -> None:
    first, *others = planted_faults.clean(0)
    planted_faults.write([planted_faults.second_name(first), *others], tmp_path, "csv")  # a class counts as two
    assert main.main(["data", "check", str(tmp_path)]) == 1


def test_a_folder_without_images_is_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("", "notes.txt"):
        if name:
            (tmp_path / name).write_text("nothing about images")
        assert main.main(["data", "check", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert err == f"imgloc data check: '{tmp_path}' has no images; FOLDER must name a folder of images and their annotations\n"


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
