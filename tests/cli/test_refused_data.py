"""Data with which training would go wrong in silence is refused, and the user may go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from imgloc.cli.locate import expand_folders
from imgloc.cli.report import expand_sweep
from imgloc.cli.train import report_faults
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from imgloc.training.objective import check_objects, make_losses
from imgloc.types import Info
from tests.refusals import assert_refused

RECIPE = "configs/digits_cnn.py"


def yolo(folder: Path, line: Callable[[int], str], names: str = "cone\nball\n") -> list[str]:
    """Writes 12 images with a line each, and returns the overrides that train on them."""
    for i in range(12):
        Image.new("RGB", (64, 48), (20 * i, 0, 0)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(line(i))
    (folder / "classes.txt").write_text(names)
    return ["--config.data.source=folder", f"--config.data.options.folder={folder}"]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (lambda i: "0 32 24 16 12\n", "in [0, 1]"),  # pixels
        (lambda i: f"{1 + i % 2} 0.5 0.5 0.25 0.25\n", "the numbers seem to start at 1"),
        (lambda i: "0 0.5 0.5 0.25\n" if i < 4 else "0 0.5 0.5 0.25 0.25\n", "a box has 5"),  # a third
    ],
)
def test_too_many_unusable_annotations_are_refused_with_the_fault_and_allowed_on_request(
    line: Callable[[int], str], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = yolo(tmp_path, line)
    config = override(read_recipe(RECIPE), overrides)
    assert_refused(
        lambda: report_faults(config, RECIPE, overrides, Path("run"), allow=False),
        kind,
        "--allow-faults",
        "are left out, and all others have the class of another number"
        if "start at 1" in kind
        else "are unusable (data.max_unusable is 0.1)",
    )
    report_faults(config, RECIPE, overrides, Path("run"), allow=True)
    assert "in the data" in capsys.readouterr().err
    with config.unlocked():
        config.data.max_unusable = 1.0
    report_faults(config, RECIPE, overrides, Path("run"), allow=False)


def test_a_table_of_which_nothing_is_read_is_refused_whatever_else_there_is(tmp_path: Path) -> None:
    overrides = yolo(tmp_path, lambda i: f"{i % 2} 0.5 0.5 0.25 0.25\n")
    (tmp_path / "data.yaml").write_text("names: [cone, ball")
    config = override(read_recipe(RECIPE), overrides)
    assert_refused(lambda: report_faults(config, RECIPE, overrides, Path("run"), allow=False), "data.yaml", "it is not YAML")
    report_faults(config, RECIPE, overrides, Path("run"), allow=True)


def test_a_run_folder_inside_the_data_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = yolo(tmp_path, lambda i: f"{i % 2} 0.5 0.5 0.25 0.25\n")
    report_faults(override(read_recipe(RECIPE), overrides), RECIPE, overrides, tmp_path / "runs" / "a", allow=False)
    assert "is inside the data folder" in capsys.readouterr().err


def test_losses_of_boxes_need_a_box() -> None:
    losses = make_losses(override(read_recipe(RECIPE)).losses)
    check_objects(losses, Info(("a",), 3))
    assert_refused(
        lambda: check_objects(losses, Info(("a",), 3, has_boxes=False)), "no image of the training split has one", "task=classify"
    )
    classes_alone = [loss for loss in losses if not loss.needs_objects]
    assert [loss.name for loss in classes_alone] == ["cross_entropy"]
    check_objects(classes_alone, Info(("a",), 3, has_boxes=False))


def test_folders_of_images_and_of_a_sweep_stand_for_what_they_hold(tmp_path: Path) -> None:
    for name in ("photos/b.JPG", "photos/deep/a.png", "photos/notes.txt", "sweep/one/config.json", "sweep/two/config.json", "empty/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    photos, sweep = tmp_path / "photos", tmp_path / "sweep"
    assert expand_folders(["x.png", str(photos)]) == ["x.png", str(photos / "b.JPG"), str(photos / "deep" / "a.png")]
    assert_refused(lambda: expand_folders([str(tmp_path / "empty")]), "no images in the folder")
    assert expand_sweep(str(sweep)) == [str(sweep / "one"), str(sweep / "two")]
    assert expand_sweep(str(sweep / "one")) == [str(sweep / "one")]
    assert expand_sweep("nowhere") == ["nowhere"]
