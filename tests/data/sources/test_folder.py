"""The source `folder`: splits, boxes and errors."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation
from imgloc.data.formats import csv, voc
from imgloc.data.sources.folder import Folder, check_data, source
from imgloc.errors import UnreadableImage
from imgloc.types import Reducible
from tests.picture_folders import CLASSES, COUNT, boxes_of, nothing_opened_outside, prepare, put, touch
from tests.refusals import assert_refused

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax,split\n"


def files_of(split: str, folder: Path, **options: Any) -> list[str]:
    return [entry.file for entry in source(split, seed=0, folder=str(folder), **options).entries]


def table(folder: Path, *lines: str) -> None:
    """A CSV table of images of 8 x 8 pixels, and the images."""
    put(folder, labels_dot_csv=HEADER + "".join(f"{line}\n" for line in lines))
    for line in lines:
        Image.new("RGB", (8, 8)).save(folder / line.split(",")[0])


def test_boxes_and_labels_are_those_of_the_annotations(picture_folder: Path) -> None:
    seen = 0
    for split in ("train", "validation", "test"):
        folder = source(split, seed=3, folder=str(picture_folder))
        assert isinstance(folder, Reducible)
        for index in range(len(folder)):
            example = folder[index]
            number = int(Path(example.id).stem)
            boxes = boxes_of(number)
            np.testing.assert_allclose(example.boxes_nx4 * [32, 24, 32, 24], boxes, atol=1e-5)
            assert example.labels_n.tolist() == [(number + i) % 3 for i in range(len(boxes))]
            areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
            assert example.label in example.labels_n[areas == areas.max()]
            assert example.id == f"images/{number:02d}.png"
            assert example.group.startswith(f"{example.id} (")
            x0, y0, x1, y1 = boxes[0].astype(int)
            assert (example.image_hxwxc[y0:y1, x0:x1] == 200).all()
            seen += 1
    assert seen == COUNT
    grey = source("test", seed=0, folder=str(picture_folder), channels=1)
    assert grey[0].image_hxwxc.shape == (24, 32, 1)
    assert grey.info.channels == 1


def test_missing_splits_are_chosen_by_a_hash_and_stable_when_images_are_added(tmp_path: Path) -> None:
    def write(count: int) -> None:
        names = [f"{number}.jpg" for number in range(count)]
        touch(tmp_path, *names)
        csv.write(AnnotatedFolder("", CLASSES, tuple(Annotation(name, np.array([[0.0, 0, 1, 1]]), ("cat",)) for name in names)), tmp_path)

    write(500)
    splits = {split: files_of(split, tmp_path) for split in ("train", "validation", "test")}
    assert sorted(file for files in splits.values() for file in files) == sorted(f"{number}.jpg" for number in range(500))
    assert 35 <= len(splits["validation"]) <= 65
    assert 75 <= len(splits["test"]) <= 125
    other = source("test", seed=99, folder=str(tmp_path))
    assert [entry.file for entry in other.entries] == splits["test"], "for every seed"
    assert set(files_of("test", tmp_path, validation=0.3)) == set(splits["test"])
    assert set(files_of("validation", tmp_path, validation=0.3)) > set(splits["validation"])
    write(600)
    assert all(set(files_of(split, tmp_path)) > set(files) for split, files in splits.items())


def test_given_splits_are_used_and_missing_ones_taken_from_train(tmp_path: Path) -> None:
    lines = [f"{number}.png,8,8,cat,0,0,4,4,{'train' if number < 60 else 'test' if number < 70 else ''}" for number in range(72)]
    table(tmp_path, *lines)
    splits = {split: set(files_of(split, tmp_path)) for split in ("train", "validation", "test")}
    assert splits["test"] == {f"{number}.png" for number in range(60, 70)}
    assert splits["train"] | splits["validation"] == {f"{number}.png" for number in range(60)}, "images without a split are excluded"
    assert 0 < len(splits["validation"]) < 15
    assert not splits["train"] & splits["validation"]
    table(tmp_path, *(line.replace(",train", ",") for line in lines))
    assert len(files_of("train", tmp_path)) + len(files_of("validation", tmp_path)) == 62, (
        "without train images, images without a split are train"
    )


def test_groups_are_not_split(tmp_path: Path) -> None:
    from imgloc.data.sources.folder import assigned_split

    entries = [Annotation(f"{number}.jpg", np.zeros((0, 4)), (), group=f"clip {number // 10}") for number in range(200)]
    parts = [assigned_split(entry, {""}, {"validation": 0.3, "test": 0.3}) for entry in entries]
    assert set(parts) == {"train", "validation", "test"}
    assert all(len(set(parts[i : i + 10])) == 1 for i in range(0, 200, 10))


def test_images_without_a_class_are_excluded_and_classes_can_be_selected(tmp_path: Path) -> None:
    table(
        tmp_path, "a.png,8,8,cat,0,0,4,4,train", "a.png,8,8,dog,0,0,8,8,train", "b.png,8,8,,,,,,train", "c.png,8,8,dog,0,0,4,4,train",
        "d.png,8,8,cat,9,9,12,12,train", "e.png,8,8,cat,0,0,4,4,train",
    )  # fmt: skip
    (tmp_path / "e.png").unlink()
    both = source("train", seed=0, folder=str(tmp_path), validation=0.0)
    assert both.info.classes == ("cat", "dog")
    assert {(both[i].id, both[i].label, len(both[i].boxes_nx4)) for i in range(len(both))} == {
        ("a.png", 1, 2), ("c.png", 1, 1), ("d.png", 0, 0)
    }, "a box outside the image still determines the class"  # fmt: skip
    cats = source("train", seed=0, folder=str(tmp_path), validation=0.0, classes=("cat",))
    assert {(cats[i].id, cats[i].label, len(cats[i].boxes_nx4)) for i in range(len(cats))} == {("a.png", 0, 1), ("d.png", 0, 0)}
    turned = source("train", seed=0, folder=str(tmp_path), validation=0.0, classes=["dog", "cat"])
    assert turned.info.classes == ("dog", "cat")
    assert len({both.fingerprint, cats.fingerprint, turned.fingerprint}) == 3


def test_the_check_reports_that_there_is_nothing_to_train(tmp_path: Path) -> None:
    def nothing(**options: Any) -> list[str]:
        findings = check_data(thorough=True, folder=str(tmp_path), **options)
        return [fault.what for fault in findings.serious if fault.kind == "nothing_to_train"]

    table(tmp_path, "a.png,8,8,cat,0,0,4,4,train", "b.png,8,8,,,,,,test")
    assert not nothing()
    assert nothing(format="voc") == [f"no annotated image in '{tmp_path}'"], "the images alone are only notes"
    table(tmp_path, "a.png,8,8,cat,0,0,4,4,test")
    (message,) = nothing()
    assert message.startswith(f"split 'train' of '{tmp_path}' has no images (test: 1)")
    (tmp_path / "a.png").unlink()
    assert "such as 'a.png'" in nothing()[0]


def test_class_folders_have_labels_and_no_boxes(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "train" / name / "a.png")
    images = source("train", seed=0, folder=str(tmp_path), validation=0, test=0)
    assert [(images[i].label, images[i].boxes_nx4.shape) for i in range(2)] == [(0, (0, 4)), (1, (0, 4))]


def test_the_fingerprint_depends_on_the_data(tmp_path: Path) -> None:
    def now(**options: Any) -> str:
        return source("train", seed=0, folder=str(tmp_path), validation=0, test=0, **options).fingerprint

    table(tmp_path, "a.png,8,8,cat,0,0,4,4,")
    first = now()
    table(tmp_path, "a.png,8,8,cat,0,0,4,4,")
    assert now() == first, "the time of writing does not matter"
    assert now(convention="inclusive_from_0") != first
    table(tmp_path, "a.png,8,8,cat,0,0,4,5,")
    assert now() != first
    table(tmp_path, "a.png,8,8,cat,0,0,4,4,")
    Image.effect_noise((8, 8), 9).save(tmp_path / "a.png")
    assert now() != first


def test_an_unreadable_image_is_reported_by_name(tmp_path: Path) -> None:
    table(tmp_path, "a.png,8,8,cat,0,0,4,4,", "b.png,8,8,cat,0,0,4,4,")
    (tmp_path / "a.png").write_bytes(b"no image")
    images = source("train", seed=0, folder=str(tmp_path), validation=0, test=0)
    (tmp_path / "b.png").unlink()
    for index, reason in ((0, "a.png: not an image"), (1, "b.png: No such file")):
        with pytest.raises(UnreadableImage, match=f"^{reason}"):
            images[index]


def test_reading_a_folder_opens_nothing_outside(tmp_path: Path) -> None:
    prepare(tmp_path / "data")
    with nothing_opened_outside(tmp_path / "data"):
        images = pickle.loads(pickle.dumps(source("train", seed=0, folder=str(tmp_path / "data"))))
        assert images[0].image_hxwxc.shape == (24, 32, 3)


def test_invalid_options_raise_in_one_line(tmp_path: Path, picture_folder: Path) -> None:
    def refused(*contains: str, split: str = "train", folder: Path = picture_folder, **options: Any) -> None:
        assert_refused(lambda: source(split, seed=0, folder=str(folder), **options), *contains)

    refused("unknown split 'tset'; did you mean 'test'?", split="tset")
    refused("no such folder", folder=tmp_path / "nowhere")
    refused("has no images; data.options.folder must name a folder of images", folder=tmp_path)
    refused("unknown class (data.options.classes) 'Cat'; did you mean 'cat'?", classes=("Cat",))
    refused("data.options.channels must be 3 (RGB) or 1 (grayscale), got 4", channels=4)
    refused("sum below 1, got 0.5 and 0.5", validation=0.5, test=0.5)
    refused("unknown convention of boxes 'voc'", convention="voc")
    refused("split 'test' of", "has no images (train: ", "data.options.test is the share", split="test", test=0.0)
    refused("no annotated image in", folder=picture_folder, format="voc")
    table(tmp_path, "a.png,8,8,cat,0,0,4,4,")
    for split, shares in (("train", (0.99, 0.0)), ("validation", (0.01, 0.98))):
        options: dict[str, Any] = {"split": split, "validation": shares[0], "test": shares[1]}
        refused("there is one group: put the images of each split into a folder train, val or test", folder=tmp_path, **options)
    table(tmp_path, "a.png,8,8,cat,0,0,4,4,", "b.png,8,8,cat,0,0,4,4,")
    refused("(test: 2); splits are drawn by groups of images, and there are 2:", folder=tmp_path, validation=0.0, test=0.9999)
    table(tmp_path, "a.png,8,8,cat,0,0,4,4,test")
    refused("has no images (test: 1)", folder=tmp_path)
    (tmp_path / "a.png").unlink()
    refused("none of the 1 annotated images", "'a.png'", folder=tmp_path)
    assert_refused(lambda: source("train", seed=0), "data.options.folder is empty")


@pytest.mark.slow
def test_ten_thousand_annotations_are_read_in_seconds(tmp_path: Path) -> None:
    names = [f"images/{number:05d}.jpg" for number in range(10_000)]
    box = np.array([[1.0, 2.0, 30.0, 40.0]])
    touch(tmp_path, *names)
    voc.write(AnnotatedFolder("", ("cat",), tuple(Annotation(name, box, ("cat",), width=50, height=50) for name in names)), tmp_path)
    start = time.perf_counter()
    train: Folder = source("train", seed=0, folder=str(tmp_path))
    first = time.perf_counter() - start
    source("test", seed=0, folder=str(tmp_path))
    assert len(train) > 6500
    assert first < 15
    assert time.perf_counter() - start - first < first, "the second split parses the annotations again"


def test_raccoons(data_folder: Path) -> None:
    folder = data_folder / "raccoon"
    splits = {split: source(split, seed=0, folder=str(folder), format="csv") for split in ("train", "validation", "test")}
    assert len(splits["train"]) + len(splits["validation"]) == 160
    assert len(splits["test"]) == 40
    assert sum(len(source(split, seed=0, folder=str(folder), format="voc")) for split in splits) == 200
    example = splits["test"][0]
    assert example.image_hxwxc.shape == (960, 720, 3)
    np.testing.assert_allclose(example.boxes_nx4 * [720, 960, 720, 960], [[250, 49, 714, 869]], atol=1e-3)
    assert_refused(lambda: source("train", seed=0, folder=str(folder)), "as csv and as voc")


def test_crowds_are_never_among_the_objects_nor_in_the_label_and_change_the_fingerprint(tmp_path: Path) -> None:
    def fingerprint(flag: int) -> str:
        root = tmp_path / str(flag)
        root.mkdir()
        table = f"filename,class,xmin,ymin,xmax,ymax,iscrowd\na.png,cat,1,2,9,9,0\na.png,dog,0,0,20,20,{flag}\n"
        (root / "labels.csv").write_text(table)
        Image.new("RGB", (20, 20)).save(root / "a.png")
        split = source("train", seed=0, folder=str(root), validation=0, test=0)
        example = split[0]
        if flag:
            assert (example.labels_n.tolist(), example.label) == ([0], 0)
            assert len(example.crowd_labels_m) == 0, "a class that only crowds have is not a class"
        else:
            assert (example.labels_n.tolist(), example.label) == ([0, 1], 1)
        return split.fingerprint

    assert fingerprint(0) != fingerprint(1)


def test_a_reduced_image_has_the_size_of_the_stored_one_in_its_truth(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,90,90\n")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 200)).save(tmp_path / "a.jpg", exif=exif)
    split = source("train", seed=0, folder=str(tmp_path), validation=0, test=0)
    reduced = split.reduced(0, 50, 25)
    assert reduced.image_hxwxc.shape[:2] == (50, 25), "decoded at an eighth"
    assert (reduced.truth.width, reduced.truth.height) == (split.known(0).width, split.known(0).height) == (200, 400)


def test_images_without_objects_are_kept_on_request(tmp_path: Path) -> None:
    table = "filename,class,xmin,ymin,xmax,ymax\na.png,cat,1,2,9,9\nb.png,,,,,\nc.png,dog,1,2,9,9\n"
    (tmp_path / "labels.csv").write_text(table)
    for name in "abc":
        Image.new("RGB", (20, 20)).save(tmp_path / f"{name}.png")

    def labels(**options: Any) -> dict[str, tuple[int, int]]:
        split = source("train", seed=0, folder=str(tmp_path), validation=0, test=0, **options)
        examples = [split[i] for i in range(len(split))]
        assert split.object_counts().tolist() == [len(example.labels_n) for example in examples]
        assert [split.known(i).label for i in range(len(split))] == [example.label for example in examples]
        assert split.info.all_labelled == all(example.label >= 0 for example in examples)
        return {example.id: (example.label, len(example.boxes_nx4)) for example in examples}

    assert labels() == {"a.png": (0, 1), "c.png": (1, 1)}
    assert labels(without_objects=True) == {"a.png": (0, 1), "b.png": (-1, 0), "c.png": (1, 1)}
    # Of other classes than the chosen ones nothing is left.
    assert labels(without_objects=True, classes=["cat"]) == {"a.png": (0, 1), "b.png": (-1, 0), "c.png": (-1, 0)}
