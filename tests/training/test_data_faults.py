"""Data with which training would go wrong in silence is reported or refused, and the user may go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ml_collections import ConfigDict
from PIL import Image

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override, resolve
from imgloc.training.data_faults import training_notes
from imgloc.training.objective import check_objects, make_losses
from imgloc.types import Info
from tests.refusals import assert_refused

RECIPE = "configs/digits_cnn.py"


def notes(config: ConfigDict, workdir: str = "run", *, allow: bool = False) -> list[str]:
    return list(training_notes(config, Path(workdir), allow_faults=allow, command="imgloc data check ..."))


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
    line: Callable[[int], str], kind: str, tmp_path: Path
) -> None:
    overrides = yolo(tmp_path, line)
    config = override(read_recipe(RECIPE), overrides)
    assert_refused(
        lambda: notes(config),
        kind,
        "--allow-faults",
        "are left out, and all others have the class of another number"
        if "start at 1" in kind
        else "are unusable (data.max_unusable is 0.1)",
    )
    assert "in the data" in notes(config, allow=True)[-1]
    with config.unlocked():
        config.data.max_unusable = 1.0
    notes(config)


def test_a_table_of_which_nothing_is_read_is_refused_whatever_else_there_is(tmp_path: Path) -> None:
    overrides = yolo(tmp_path, lambda i: f"{i % 2} 0.5 0.5 0.25 0.25\n")
    (tmp_path / "data.yaml").write_text("names: [cone, ball")
    config = override(read_recipe(RECIPE), overrides)
    assert_refused(lambda: notes(config), "data.yaml", "it is not YAML")
    notes(config, allow=True)


def test_a_run_folder_inside_the_data_folder_is_named(tmp_path: Path) -> None:
    overrides = yolo(tmp_path, lambda i: f"{i % 2} 0.5 0.5 0.25 0.25\n")
    (note,) = notes(override(read_recipe(RECIPE), overrides), str(tmp_path / "runs" / "a"))
    assert "is inside the data folder" in note


def test_losses_of_boxes_need_a_box() -> None:
    losses = make_losses(override(read_recipe(RECIPE)).losses)
    check_objects(losses, Info(("a",), 3))
    assert_refused(lambda: check_objects(losses, Info(("a",), 3, all_labelled=False)), "class of each image", "without objects")
    assert_refused(
        lambda: check_objects(losses, Info(("a",), 3, has_boxes=False)), "no image of the training split has one", "task=classify"
    )
    classes_alone = [loss for loss in losses if not loss.needs_objects]
    assert [loss.name for loss in classes_alone] == ["cross_entropy"]
    check_objects(classes_alone, Info(("a",), 3, has_boxes=False))


ALL_OBJECTS = """
import dataclasses
from imgloc.tasks import localize
TASK = dataclasses.replace(localize.TASK, learns_all_objects=True)
"""


def test_objects_beyond_the_most_that_are_kept_are_noted_for_a_task_that_learns_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "learns_all").mkdir()
    (tmp_path / "learns_all" / "objects.py").write_text(ALL_OBJECTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    box = "0 0.5 0.5 0.25 0.25\n"
    (tmp_path / "data").mkdir()
    overrides = yolo(tmp_path / "data", lambda i: box * (1 + i % 4), names="cone\n")
    overrides += ["--config.data.options.validation=0", "--config.data.options.test=0"]
    assert [note for note in notes(override(read_recipe(RECIPE), overrides)) if "several objects; task localize" in note]
    overrides += ["--config.task=learns_all.objects"]
    (note,) = (note for note in notes(override(read_recipe(RECIPE), overrides)) if "max_objects = 1" in note)
    # 12 images, 3 of each number from 1 to 4: 9 have more than 1, and 18 of 30 objects are beyond it.
    assert note.startswith("9 of 12 training images have more than data.max_objects = 1 objects: 18 of 30 objects (60.00%) are not learned")
    assert "(at most 4 in an image)" in note
    for most in (0, 4, 5):
        config = override(read_recipe(RECIPE), [*overrides, f"--config.data.max_objects={most}"])
        assert notes(config) == [], "every object is learned"
    assert resolve(read_recipe(RECIPE), [*overrides, "--config.data.max_objects=0"]).data.max_objects == 4
