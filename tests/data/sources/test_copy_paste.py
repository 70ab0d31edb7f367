"""Copy-paste: the same bits each time, boxes that follow pixels, and nothing of the images that are scored."""

from __future__ import annotations

import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.data.sources import copy_paste, folder
from imgloc.types import Example, Reducible
from tests.refusals import assert_refused

COUNT = 24  # images of each split
GRAY = {"train": 60, "validation": 160, "test": 220}  # of the images; objects are brighter by 20


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 60 x 40 with a box each, whose gray level is that of their split."""
    root = tmp_path_factory.mktemp("annotated")
    rows = ["filename,class,xmin,ymin,xmax,ymax,split"]
    for split, gray in GRAY.items():
        for i in range(COUNT):
            pixels = np.full((40, 60, 3), gray, np.uint8)
            pixels[10:30, 10 + i : 30 + i] = gray + 20
            Image.fromarray(pixels).save(root / f"{split}{i}.png")
            rows.append(f"{split}{i}.png,{('cat', 'dog')[i % 2]},{10 + i},10,{30 + i},30,{split}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """backgrounds/: black images; cutouts/: a white disc with alpha for each class."""
    root = tmp_path_factory.mktemp("outside")
    y, x = np.mgrid[:30, :30] - 14.5
    disc = np.full((30, 30, 4), 255, np.uint8)
    disc[..., 3] = 255 * (x**2 + y**2 < 12**2)
    for name in ("cat", "dog"):
        (root / "cutouts" / name).mkdir(parents=True)
        Image.fromarray(disc).save(root / "cutouts" / name / "disc.png")
    (root / "backgrounds").mkdir()
    for i in range(3):
        Image.new("RGB", (70, 50 + i)).save(root / "backgrounds" / f"{i}.png")
    return root


def train(annotated: Path, seed: int = 0, **options: Any) -> Any:
    return copy_paste.source("train", seed=seed, folder=str(annotated), **options)


def same(a: Example, b: Example) -> bool:
    arrays = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("image_hxwxc", "boxes_nx4", "labels_n"))
    return arrays and (a.label, a.id, a.group) == (b.label, b.id, b.group)


def test_the_same_bits_twice_in_any_order_and_after_pickling(annotated: Path, outside: Path) -> None:
    for options in ({}, {"cutouts": str(outside / "cutouts"), "backgrounds": str(outside / "backgrounds"), "share": 1.0}):
        first, again = train(annotated, **options), train(annotated, **options)
        copy = pickle.loads(pickle.dumps(first))
        for index in (7, 0, 2**39, 3, 7):
            assert same(first[index], again[index])
            assert same(first[index], copy[index])
        assert first.fingerprint == again.fingerprint == copy.fingerprint
        other = train(annotated, seed=1, **options)
        assert other.fingerprint != first.fingerprint
        assert any(not same(first[i], other[i]) for i in range(3))


def test_nothing_of_a_scored_image_is_in_a_made_one(annotated: Path) -> None:
    def brightest(source: Any, count: int = 150) -> int:
        return max(int(source[i].image_hxwxc.max()) for i in range(count))

    assert brightest(train(annotated, share=1.0)) <= GRAY["train"] + 20
    # The same check finds an image of the validation split, so that it could fail.
    assert brightest(folder.source("validation", seed=0, folder=str(annotated)), COUNT) > GRAY["train"] + 20
    assert_refused(lambda: train(annotated, backgrounds=str(annotated)), "no image in", "that is not annotated")
    new = annotated / "new.png"  # which no annotation names
    Image.new("RGB", (70, 50)).save(new)
    source = train(annotated, backgrounds=str(annotated), share=1.0)
    assert {source[i].id.partition(" made of ")[2] for i in range(10)} == {"new.png"}
    new.unlink()


def test_validation_and_test_are_those_of_the_folder(annotated: Path) -> None:
    for split in ("validation", "test"):
        ours, theirs = copy_paste.source(split, seed=3, folder=str(annotated)), folder.source(split, seed=0, folder=str(annotated))
        assert ours.fingerprint == theirs.fingerprint
        assert len(ours) == COUNT
        assert ours.groups == theirs.groups
        assert not ours.groups & train(annotated).groups


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_made_images_and_the_real_ones_between_them(annotated: Path, share: float) -> None:
    source, real = train(annotated, share=share), folder.source("train", seed=0, folder=str(annotated))
    by_id = {real[i].id: real[i] for i in range(COUNT)}
    examples = [source[i] for i in range(10 * COUNT)]
    made = ["made of" in example.id for example in examples]
    assert abs(np.mean(made) - share) < 0.1
    for example, is_made in zip(examples, made, strict=True):
        origin = by_id[example.id.rpartition(" ")[2]]
        assert example.group == origin.group
        if not is_made:
            assert np.array_equal(example.image_hxwxc, origin.image_hxwxc)
            assert np.array_equal(example.boxes_nx4, origin.boxes_nx4)
    origins = [example.id.rpartition(" ")[2] for example in examples]
    assert all(set(origins[start : start + COUNT]) == set(by_id) for start in range(0, len(origins), COUNT)), "each one once an epoch"
    assert isinstance(source, Reducible)
    assert same(source.reduced(5, 8, 8), source[5])


def test_boxes_are_those_of_the_alpha_on_a_background_without_objects(annotated: Path, outside: Path) -> None:
    options = {"cutouts": str(outside / "cutouts"), "backgrounds": str(outside / "backgrounds"), "share": 1.0, "objects": (1, 1)}
    source = train(annotated, scale=(0.1, 0.6), **options)
    for index in range(60):
        example = source[index]
        height, width = example.image_hxwxc.shape[:2]
        rows, columns = (np.flatnonzero(example.image_hxwxc.any(axis=(axis, 2))) for axis in (1, 0))
        box = example.boxes_nx4[0] * (width, height, width, height)
        np.testing.assert_allclose(box, [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=1e-4)
        assert example.labels_n.tolist() == [example.label]
        assert example.group in source.groups
    assert {int(source[i].label) for i in range(20)} == {0, 1}
    empty = train(annotated, **{**options, "objects": (0, 1)})
    assert not empty.info.all_labelled
    assert {empty[i].label for i in range(40)} == {-1, 0, 1}


def test_a_background_may_show_no_object_although_at_least_one_is_pasted(annotated: Path, outside: Path, tmp_path: Path) -> None:
    thin = np.full((60, 60, 4), 255, np.uint8)
    thin[1:, 1:, 3] = 0  # nothing of it is visible once it is reduced
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(thin).save(tmp_path / name / "thin.png")
    options = {"cutouts": str(tmp_path), "share": 1.0, "objects": (1, 1), "scale": (0.02, 0.03)}
    source = train(annotated, backgrounds=str(outside / "backgrounds"), **options)
    assert {source[i].label for i in range(20)} == {-1}
    assert not source.info.all_labelled
    real = train(annotated, **options)
    assert {real[i].label for i in range(20)} == {0, 1}
    assert real.info.all_labelled


def test_every_option_of_a_folder_is_an_option(tmp_path: Path) -> None:
    ours, theirs = (inspect.signature(module.source).parameters for module in (copy_paste, folder))
    assert {name: ours[name].default for name in theirs} == {name: theirs[name].default for name in theirs}
    shape = {"name": "rect", "x": 10, "y": 10, "width": 20, "height": 20}
    images = {}
    for i in range(4):
        Image.new("RGB", (60, 40)).save(tmp_path / f"{i}.png")
        attributes = {"kind": ("cat", "dog")[i % 2], "color": "red"}
        regions = [{"shape_attributes": shape, "region_attributes": attributes}]
        images[str(i)] = {"filename": f"{i}.png", "size": 1, "regions": regions, "file_attributes": {}}
    (tmp_path / "via_region_data.json").write_text(json.dumps(images))
    assert_refused(lambda: train(tmp_path), "set data.options.class_attribute")
    source = train(tmp_path, class_attribute="kind", validation=0, test=0, share=1.0)
    assert source.info.classes == ("cat", "dog")
    assert len(source[0].boxes_nx4)


def test_objects_of_a_background_stay_unless_they_are_hidden(annotated: Path, outside: Path) -> None:
    def kept(**options: Any) -> list[bool]:
        """Whether the own object of a training image is among the boxes, for images with a white disc pasted over them."""
        source = train(annotated, share=1.0, objects=(1, 1), cutouts=str(outside / "cutouts"), **options)
        real = {e.id: e for e in (source.real[i] for i in range(COUNT))}
        own = [(source[i], real[source[i].id.rpartition(" ")[2]].boxes_nx4[0]) for i in range(60)]
        return [len(example.boxes_nx4) == 2 and np.array_equal(example.boxes_nx4[0], box) for example, box in own]

    assert all(kept(scale=(0.05, 0.1)))
    assert all(kept(scale=(0.8, 1.0), hidden=1.0))
    covered = kept(scale=(0.8, 1.0), hidden=0.5)
    assert any(covered)
    assert not all(covered)


@pytest.mark.parametrize(
    "options",
    [
        {"share": 0.4}, {"objects": (1, 4)}, {"scale": (0.1, 0.4)}, {"max_overlap": 0.1}, {"hidden": 0.5}, {"flip": 0.4},
        {"feather": 1.0}, {"side": 32}, {"classes": ("dog", "cat")}, {"own_size": True}, {"channels": 1},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_fingerprint(annotated: Path, options: dict[str, Any]) -> None:
    plain, changed = train(annotated), train(annotated, **options)
    assert changed.fingerprint != plain.fingerprint
    assert changed[0].image_hxwxc.shape[2] == options.get("channels", 3)
    assert max(max(changed[i].image_hxwxc.shape[:2]) for i in range(30) if "made" in changed[i].id) == options.get("side", 60)


def test_other_files_change_the_fingerprint(annotated: Path, outside: Path) -> None:
    prints = {train(annotated, **options).fingerprint for options in ({}, *({k: str(outside / k)} for k in copy_paste.OUTSIDE))}
    before = train(annotated, backgrounds=str(outside / "backgrounds")).fingerprint
    Image.new("RGB", (30, 30)).save(outside / "backgrounds" / "more.png")
    prints |= {before, train(annotated, backgrounds=str(outside / "backgrounds")).fingerprint}
    (outside / "backgrounds" / "more.png").unlink()
    assert len(prints) == 4


def test_mistakes_are_one_line(annotated: Path, outside: Path, tmp_path: Path) -> None:
    for options in (
        {"share": 1.5}, {"objects": (3, 1)}, {"scale": (0.0, 0.5)}, {"scale": (0.1, 1.5)}, {"side": 8}, {"feather": -1.0},
        {"own_size": True, "cutouts": str(outside / "cutouts")}, {"backgrounds": str(tmp_path)}, {"cutouts": str(tmp_path / "gone")},
    ):  # fmt: skip
        assert_refused(lambda options=options: train(annotated, **options))
    (tmp_path / "cutouts" / "cow").mkdir(parents=True)
    Image.new("RGBA", (20, 20), (9, 9, 9, 255)).save(tmp_path / "cutouts" / "cow" / "a.png")
    assert_refused(lambda: train(annotated, cutouts=str(tmp_path / "cutouts")), "not named after a class: cow", "of its name: cat, dog")
