"""Cut-outs: alpha of files, polygons and boxes of annotated images, and a cache with a limit."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgloc.data.annotated.listing import list_folder
from imgloc.data.cutouts import Cached, CutOutFiles, CutOutObjects, trimmed
from imgloc.data.formats import coco
from imgloc.data.sources import folder
from imgloc.errors import UnreadableImage

TRIANGLE = [(10.0, 8.0), (50.0, 8.0), (10.0, 38.0)]


def coco_folder(root: Path, orientation: int = 1) -> Path:
    """One image of 80 x 60 with a red triangle and its polygon, a green rectangle without one, and an object with run lengths."""
    root.mkdir()
    image = Image.new("RGB", (80, 60), (0, 0, 90))
    pen = ImageDraw.Draw(image)
    pen.polygon(TRIANGLE, fill=(250, 0, 0))
    pen.rectangle((60, 40, 71, 55), fill=(0, 250, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(root / "a.png", exif=exif)
    common = {"image_id": 1, "iscrowd": 0}
    annotations: list[dict[str, Any]] = [
        {"id": 1, "category_id": 1, "bbox": [10, 8, 40, 30], "segmentation": [[value for point in TRIANGLE for value in point]], **common},
        {"id": 2, "category_id": 2, "bbox": [60, 40, 12, 16], "segmentation": [], **common},
        {"id": 3, "category_id": 2, "bbox": [60, 40, 11, 16], "segmentation": {"counts": [1, 2], "size": [60, 80]}, **common},
    ]
    images = [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}]
    categories = [{"id": 1, "name": "triangle"}, {"id": 2, "name": "rectangle"}]
    (root / "train.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return root


def objects_of(root: Path) -> CutOutObjects:
    split = folder.source("train", seed=0, folder=str(root), validation=0, test=0)
    return CutOutObjects(split, 640, coco.read_outlines(list_folder(root), {"a.png"}))


@pytest.mark.parametrize("orientation", [1, 5, 6, 7, 8])  # those for which the stated size shows what numbers refer to
def test_polygons_and_boxes_are_cut_from_the_upright_image(tmp_path: Path, orientation: int) -> None:
    found = objects_of(coco_folder(tmp_path / "data", orientation))
    assert len(found) == 3
    triangle, rectangle, lengths = (found.read(number) for number in range(3))
    assert triangle is not None
    assert triangle.alpha_hxw is not None
    assert triangle.label == 0
    inside = triangle.alpha_hxw == 255
    assert (triangle.pixels_hxwx3[inside] == (250, 0, 0)).all(), "all that is cut is of the triangle"
    assert abs(triangle.alpha_hxw.sum() / 255 - 40 * 30 / 2) < 40
    sides = (30, 40) if orientation < 5 else (40, 30)
    np.testing.assert_allclose(triangle.alpha_hxw.shape, sides, atol=1)
    assert triangle.relative_size == pytest.approx(np.sqrt(40 * 30 / (80 * 60)), abs=0.02)
    assert rectangle is not None
    assert rectangle.alpha_hxw is None
    assert rectangle.pixels_hxwx3.shape[:2] == ((16, 12) if orientation < 5 else (12, 16))
    assert (rectangle.pixels_hxwx3 == (0, 250, 0)).all()
    assert lengths is not None
    assert lengths.alpha_hxw is None


def test_an_edited_polygon_changes_the_fingerprint(tmp_path: Path) -> None:
    root = coco_folder(tmp_path / "data")
    before = objects_of(root)
    assert objects_of(root).fingerprint == before.fingerprint
    content = json.loads((root / "train.json").read_text())
    content["annotations"][0]["segmentation"][0][0] += 3.5
    (root / "train.json").write_text(json.dumps(content))
    after = objects_of(root)
    assert after.folder.fingerprint == before.folder.fingerprint
    assert after.fingerprint != before.fingerprint


def test_an_object_of_several_polygons_is_their_union(tmp_path: Path) -> None:
    root = coco_folder(tmp_path / "data")
    content = json.loads((root / "train.json").read_text())
    content["annotations"][0]["segmentation"] = [[10, 8, 20, 8, 20, 38, 10, 38], [40, 8, 50, 8, 50, 20, 45, 38, 40, 20]]
    (root / "train.json").write_text(json.dumps(content))
    cut = objects_of(root).read(0)
    assert cut is not None
    assert cut.alpha_hxw is not None
    columns = (cut.alpha_hxw > 128).sum(axis=0)
    assert columns.tolist() == pytest.approx([30] * 10 + [0] * 20 + [12, 16, 19, 23, 27, 27, 23, 19, 16, 12], abs=4)


def test_files_keep_their_opacity_and_lose_their_margins(tmp_path: Path) -> None:
    soft = np.zeros((30, 20, 4), np.uint8)
    soft[5:15, 4:18] = (10, 20, 30, 200)
    soft[:, 0] = (255, 255, 255, 10)  # hardly visible
    Image.fromarray(soft).save(tmp_path / "soft.png")
    Image.new("RGB", (9, 8), (1, 2, 3)).save(tmp_path / "opaque.png")
    Image.new("RGBA", (9, 8), (1, 2, 3, 0)).save(tmp_path / "nothing.png")
    (tmp_path / "damaged.png").write_bytes(b"no image")
    names = ("soft.png", "opaque.png", "nothing.png", "damaged.png")
    found = CutOutFiles(str(tmp_path), names, (1, 2, 3, 4), (0, 1, 2, 0))
    cut = found.read(0)
    assert cut is not None
    assert cut.alpha_hxw is not None
    assert cut.alpha_hxw.tolist() == np.full((10, 14), 200).tolist()
    assert (cut.pixels_hxwx3 == (10, 20, 30)).all()
    opaque = found.read(1)
    assert opaque is not None
    assert (opaque.alpha_hxw, opaque.label, opaque.pixels_hxwx3.shape) == (None, 1, (8, 9, 3))
    assert found.read(2) is None
    with pytest.raises(UnreadableImage, match="damaged"):
        found.read(3)
    assert trimmed(np.zeros((3, 9, 3), np.uint8), None, 0) is None


def test_the_cache_changes_no_bit_and_keeps_its_limit(tmp_path: Path) -> None:
    found = objects_of(coco_folder(tmp_path / "data"))
    for limit in (0, 3000, 10**6):
        cached = Cached(found, limit)
        for number in (0, 1, 0, 2, 2, 1, 0):
            ours, theirs = cached.read(number), found.read(number)
            assert ours is not None
            assert theirs is not None
            np.testing.assert_array_equal(ours.pixels_hxwx3, theirs.pixels_hxwx3)
            np.testing.assert_array_equal(ours.alpha_hxw, theirs.alpha_hxw)
            assert sum(cut.pixels_hxwx3.nbytes for cut in cached._kept.values() if cut) <= limit
        assert (cached.read(1) is cached.read(1)) == (limit > 0)
        assert len(pickle.dumps(cached)) == len(pickle.dumps(Cached(found, limit))), "a copy starts empty"
