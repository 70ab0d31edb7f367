"""Arrays and Pillow images give the same predictions as image files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import imgloc
from imgloc.data.sources.scattered_digits import source
from imgloc.inference.predictions import as_picture
from tests.refusals import assert_refused


def test_arrays_of_jax_are_images_as_those_of_numpy(evaluated_run: Path) -> None:
    model = imgloc.load(evaluated_run)
    canvas = source("test", seed=0)[0].image_hxwxc
    (expected,) = model.predict(canvas)
    (got,) = model.predict(jnp.asarray(canvas))
    assert got.answer == expected.answer
    assert len(model.predict(jnp.stack([canvas, canvas, canvas]))) == 3
    for each in model.predict([canvas] * 5)[1:3]:  # of another batch size, which rounds differently
        assert each.answer.label == expected.answer.label
        np.testing.assert_allclose(each.answer.box, expected.answer.box, atol=1e-3)
    assert model.predict([canvas] * 5)[1:3].to_dataframe().shape[0] == 2
    assert list(model.predict([]).to_dataframe().columns)[:3] == ["image", "width", "height"]


def test_a_pillow_image_is_turned_as_its_file_is(tmp_path: Path) -> None:
    pixels = np.arange(20 * 40 * 3, dtype=np.uint8).reshape(20, 40, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    of_file, of_image = as_picture(tmp_path / "turned.png", 3), as_picture(Image.open(tmp_path / "turned.png"), 3)
    np.testing.assert_array_equal(of_image.pixels_hxwxc, of_file.pixels_hxwxc)
    assert of_image.pixels_hxwxc.shape == (40, 20, 3)
    assert of_image.upright_size == of_file.upright_size == (20, 40)
    box = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(of_image.stored_box(box), of_file.stored_box(box))


@pytest.mark.parametrize("image", [None, 3.0, ["a.png"], Image.new("L", (0, 4)), np.zeros((4, 4, 4), np.uint8)])
def test_other_objects_are_refused(image: Any) -> None:
    assert_refused(lambda: as_picture(image, 1), "an image is a path, a Pillow image or a uint8 array", "got")


def test_an_export_replaces_nothing_but_an_earlier_export(evaluated_run: Path, tmp_path: Path) -> None:
    model = imgloc.load(evaluated_run)
    canvas = source("test", seed=0)[0].image_hxwxc
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "classes.txt").write_text("mine")
    assert_refused(lambda: model.predict(canvas).export("yolo", tmp_path / "mine"), "contains other files and no export")
    assert (tmp_path / "mine" / "classes.txt").read_text() == "mine"
    out = model.predict([canvas, canvas]).export("yolo", tmp_path / "out")
    assert {path.name for path in (out / "labels").iterdir()} == {"0.txt", "1.txt"}
    model.predict(canvas).export("yolo", out)
    assert {path.name for path in (out / "labels").iterdir()} == {"0.txt"}, "labels of the earlier export are removed"
    (tmp_path / "beside.txt").write_text("mine")
    (out / "export.json").write_text('{"files": ["../beside.txt", "classes.txt", "labels/0.txt"]}')
    model.predict(canvas).export("coco", out)
    assert (tmp_path / "beside.txt").exists(), "an edited record removes nothing outside the folder"
    assert {path.name for path in out.iterdir() if path.is_file()} == {"export.json", "results.json", "image_info.json"}
