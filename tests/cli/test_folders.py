"""Folders on the command line stand for the images and runs in them."""

from __future__ import annotations

from pathlib import Path

from imgloc.api.reporting import expand_sweep
from imgloc.cli.locate import expand_folders
from tests.refusals import assert_refused


def test_folders_of_images_and_of_a_sweep_stand_for_what_they_hold(tmp_path: Path) -> None:
    for name in ("photos/b.JPG", "photos/deep/a.png", "photos/notes.txt", "sweep/one/config.json", "sweep/two/config.json", "empty/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    photos, sweep = tmp_path / "photos", tmp_path / "sweep"
    assert expand_folders(["x.png", str(photos)]) == ["x.png", str(photos / "b.JPG"), str(photos / "deep" / "a.png")]
    assert_refused(lambda: expand_folders([str(tmp_path / "empty")]), "no images in the folder")
    assert expand_sweep(sweep) == [str(sweep / "one"), str(sweep / "two")]
    assert expand_sweep(sweep / "one") == [str(sweep / "one")]
    assert expand_sweep(Path("nowhere")) == ["nowhere"]
