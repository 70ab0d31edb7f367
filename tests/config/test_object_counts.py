"""The number of objects of each image is that of the examples, however it is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgloc.config import object_counts
from imgloc.config.object_counts import count_objects
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.data.sources import cluttered_mnist, folder, mnist, scattered_digits
from imgloc.types import ObjectsCounted


def test_counts_are_those_of_the_examples(picture_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_counts, "CHUNK", 150)
    sources = {
        "counted": folder.source("train", seed=0, folder=str(picture_folder)),
        "made": scattered_digits.source("validation", seed=0, objects=(0, 3), per_digit=1),
        "without boxes": mnist.source("validation", seed=0),
    }
    assert isinstance(sources["counted"], ObjectsCounted)
    for name, source in sources.items():
        expected = [len(source[i].labels_n) for i in range(len(source))]
        assert count_objects(source).tolist() == expected, name
    assert count_objects(cluttered_mnist.source("validation", seed=0, per_canvas=3)).tolist() == [3] * 400, "in memory"
    endless = scattered_digits.source("train", seed=0, objects=(0, 3))
    assert np.bincount(count_objects(endless)).tolist() == np.bincount([len(endless[i].labels_n) for i in range(500)]).tolist()


@pytest.mark.parametrize(("objects", "most"), [("(0, 3)", 3), ("(2, 2)", 2)])
def test_zero_is_the_number_of_the_image_with_the_most(objects: str, most: int) -> None:
    overrides = [f"--config.data.options.objects={objects}", "--config.data.options.canvas=100"]
    recipe = read_recipe("configs/digits_cnn.py")
    assert resolve(recipe, [*overrides, "--config.data.max_objects=0"]).data.max_objects == most
    assert resolve(recipe, overrides).data.max_objects == 1
