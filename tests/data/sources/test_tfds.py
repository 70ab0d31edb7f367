"""TFDS data sets in the layouts of their builders: boxes, classes, splits and errors."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.config.schema import base
from imgloc.data.checks.dataset import check_data
from imgloc.data.checks.examples import check_sources
from imgloc.data.prepared.fields import TABLE
from imgloc.data.prepared.opening import Part
from imgloc.data.prepared.parsing import open_records
from imgloc.data.sources import tfds
from imgloc.errors import UnreadableImage
from imgloc.types import Reducible
from tests import imagenet_shaped, processes
from tests.refusals import assert_refused
from tests.tfds_shaped import HEIGHT, WIDTH, encoded, prepare

LEFT, RIGHT, TOP, ALL = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.25), (0.0, 0.0, 1.0, 1.0)
COUNT = 60


def as_tfds(box: tuple[float, ...]) -> Any:
    import tensorflow_datasets

    x0, y0, x1, y1 = box
    return tensorflow_datasets.features.BBox(ymin=y0, xmin=x0, ymax=y1, xmax=x1)


def as_voc(box: tuple[float, ...]) -> Any:
    """A box as TFDS converts VOC's XML: inclusive pixel indices from 1, divided by the sides."""
    x0, y0, x1, y1 = box
    return as_tfds((x0 + 1 / WIDTH, y0 + 1 / HEIGHT, x1, y1))


def voc(i: int) -> dict[str, Any]:
    flags = {"pose": "left", "is_truncated": False, "is_difficult": bool(i % 2)}
    objects = [{"label": "cat", "bbox": as_voc(TOP), **flags}, {"label": "dog", "bbox": as_voc(RIGHT), **flags}]
    labels = {"labels": ["cat", "dog"], "labels_no_difficult": []}
    return {"image": encoded(i), "image/filename": f"{i:06d}.jpg", "objects": objects, **labels}


def coco(i: int) -> dict[str, Any]:
    objects = [
        {"id": i, "area": 50, "bbox": as_tfds(LEFT), "label": 3, "is_crowd": False},
        {"id": i, "area": 50, "bbox": as_tfds(ALL), "label": 5, "is_crowd": True},
    ]
    return {"image": encoded(i), "image/filename": f"{i:012d}.jpg", "image/id": i, "objects": objects}


def birds(i: int) -> dict[str, Any]:
    mask = {"segmentation_mask": encoded(i, "PNG", mode="L"), "label_name": "x"}
    return {"image": encoded(i), "image/filename": f"{i}.jpg", "label": i, "bbox": as_tfds(RIGHT), **mask}


def pets(i: int) -> dict[str, Any]:
    mask = {"segmentation_mask": encoded(i, "PNG", mode="L"), "species": i % 2}
    return {"image": encoded(i), "file_name": f"{i}.jpg", "label": i % 37, "head_bbox": as_tfds(TOP if i else (0.0, 0.0, 0.0, 0.0)), **mask}


def dogs(i: int) -> dict[str, Any]:
    return {"image": encoded(i), "image/filename": f"{i}.jpg", "label": i, "objects": [{"bbox": as_tfds(box)} for box in (TOP, LEFT)]}


def faces(i: int) -> dict[str, Any]:
    flags = {"blur": 1, "expression": False, "illumination": False, "occlusion": 2, "pose": False}
    objects = [{"bbox": as_tfds(TOP), "invalid": False, **flags}, {"bbox": as_tfds(ALL), "invalid": True, **flags}]
    return {"image": encoded(i), "image/filename": f"0--Parade/{i}.jpg", "faces": objects}


def open_images(i: int) -> dict[str, Any]:
    flags = {"is_depiction": -1, "is_inside": 0, "is_occluded": 1, "is_truncated": 0, "source": "xclick"}
    objects = [
        {"label": 600, "bbox": as_tfds(LEFT), "is_group_of": -1, **flags},
        {"label": 7, "bbox": as_tfds(TOP), "is_group_of": 0, **flags},
        {"label": 7, "bbox": as_tfds(ALL), "is_group_of": 1, **flags},
    ]
    of_image = [{"label": 19994, "source": "verification", "confidence": 10}]
    return {"image": encoded(i), "image/filename": f"{i}.jpg", "bobjects": objects, "objects": of_image, "objects_trainable": []}


def labelled(*, name: str = "", coding: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (32, 32)) -> Any:
    """Records of an image and its label."""
    return lambda i: {"image": encoded(i, coding, mode=mode, size=size), "label": i % 10, **({name: f"n{i}"} if name else {})}


# name -> record i; its boxes, their labels, the image's label, its id; number of classes; class names that the builder reads from files
LAYOUTS: dict[str, tuple[Any, Any, int, dict[str, list[str]]]] = {
    "voc/2007": (voc, lambda i: ([TOP, RIGHT], [7, 11], 11, f"{i:06d}.jpg"), 20, {}),
    "voc/2012": (voc, lambda i: ([TOP, RIGHT], [7, 11], 11, f"{i:06d}.jpg"), 20, {}),
    "coco/2017": (coco, lambda i: ([LEFT], [3], 3, f"{i:012d}.jpg"), 80, {"objects/label": [f"thing {n}" for n in range(80)]}),
    "caltech_birds2011": (birds, lambda i: ([RIGHT], [i], i, f"{i}.jpg"), 200, {}),
    "oxford_iiit_pet": (pets, lambda i: ([TOP], [i % 37], i % 37, f"{i}.jpg") if i else ([], [], 0, "0.jpg"), 37, {}),
    "stanford_dogs": (dogs, lambda i: ([TOP, LEFT], [i, i], i, f"{i}.jpg"), 120, {"label": [f"n{n:08d}-dog" for n in range(120)]}),
    "wider_face": (faces, lambda i: ([TOP], [0], 0, f"0--Parade/{i}.jpg"), 1, {}),
    "open_images_v4": (open_images, lambda i: ([LEFT, TOP], [600, 7], 600, f"{i}.jpg"), 601, {}),
    "svhn_cropped": (labelled(name="id"), lambda i: ([], [], i % 10, f"n{i}"), 10, {}),
    "imagenet2012": (labelled(name="file_name", coding="JPEG"), lambda i: ([], [], i % 10, f"n{i}"), 1000, {}),
    "cifar10": (labelled(name="id"), lambda i: ([], [], i % 10, f"n{i}"), 10, {}),
    "mnist": (labelled(mode="L", size=(28, 28)), lambda i: ([], [], i % 10, None), 10, {}),
    "imagenette": (labelled(coding="JPEG"), lambda i: ([], [], i % 10, None), 10, {}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_read_as_its_builder_writes_it(name: str, tmp_path: Path) -> None:
    record, expected, class_count, names = LAYOUTS[name]
    parts = {part.split("[")[0] for part in tfds.find_fields(name, AnyFeature(), []).splits}
    prepare(name, tmp_path, {part: [record(i) for i in range(COUNT)] for part in sorted(parts)}, names)
    sources = {split: tfds.source(split, seed=0, name=name, folder=str(tmp_path)) for split in tfds.SPLITS}
    assert sum(len(source) for source in sources.values()) in (COUNT, 2 * COUNT, 3 * COUNT), "examples are missing"
    examples = [example for source in sources.values() for example in (source[i] for i in range(len(source)))]
    numbered = sorted(examples, key=lambda e: (e.id, e.group))
    truths = [expected(i) for i in range(COUNT)]
    for example in numbered:
        candidates = [truth for truth in truths if truth[3] in (None, example.id) and truth[2] == example.label]
        assert candidates, example
        boxes, labels, _, _ = candidates[0]
        np.testing.assert_allclose(example.boxes_nx4, np.array(boxes, np.float32).reshape(-1, 4), atol=1e-6)
        assert (example.labels_n.tolist(), example.boxes_nx4.dtype) == (labels, np.float32)
    for example in examples:
        crowds = {"coco/2017": [5], "open_images_v4": [7]}.get(name, [])
        assert (example.crowd_labels_m.tolist(), example.crowd_boxes_mx4.tolist()) == (crowds, [list(ALL)] * len(crowds))
        difficult = name.startswith("voc") and int(example.id[:6]) % 2 == 1
        assert (None if example.difficult_n is None else example.difficult_n.tolist()) == ([True, True] if difficult else None)
    for source in sources.values():
        assert len(source.info.classes) == class_count
        assert source.info.channels == source[0].image_hxwxc.shape[2] == (1 if name == "mnist" else 3)
    assert len({e.group for e in examples}) == len(examples), "splits share an image"
    if expected(0)[3] is not None:
        shown = next(e for e in examples if e.label == expected(7)[2] and e.id == expected(7)[3])
        assert abs(int(shown.image_hxwxc[0, 0, 0]) - (40 + 20 * 7)) < 4, "the image of another record"


class AnyFeature(dict[str, Any]):
    """Features with any name."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        import tensorflow_datasets

        return tensorflow_datasets.features.Image()


def test_split_expressions_are_those_of_tfds(imagenet_folder: Path) -> None:
    def ids(split: str) -> list[str]:
        source = tfds.source("train", seed=0, name="imagenet2012", folder=str(imagenet_folder), train=split)
        return [source.record(i).id for i in range(len(source))]

    every, held = ids("train"), ids("validation")
    assert len(every) == len(set(every)) == imagenet_shaped.TRAIN
    assert ids("train[:10%]") == every[:70]
    assert ids("train[100:-590]") == every[100:110]
    assert ids("validation+train[5:8]") == held + every[5:8]
    assert ids("even_splits(train, 3)[1]") == every[234:467]
    thirds = [ids(f"even_splits('train[:5]+validation[:2]', n=3)[{i}]") for i in range(3)]
    assert sorted(itertools.chain(*thirds)) == sorted(every[:5] + held[:2])
    assert ids("train[6:7] + even_splits(train[:4], 2)[1]") == [every[6], *every[2:4]]
    defaults = [tfds.source(split, seed=0, name="imagenet2012", folder=str(imagenet_folder)) for split in tfds.SPLITS]
    assert [len(source) for source in defaults] == [693, 7, 12]
    assert defaults[1][0].group == "imagenet2012-train-693"


def test_a_subset_of_classes_and_of_images_of_each(imagenet_folder: Path) -> None:
    whole = tfds.source("train", seed=0, name="imagenet2012", folder=str(imagenet_folder))
    chosen = (whole.info.classes[74], whole.info.classes[37])
    source = tfds.source("train", seed=0, name="imagenet2012", folder=str(imagenet_folder), classes=chosen)
    of_two = [e for e in (whole.record(i) for i in range(len(whole))) if e.label in (74, 37)]
    assert source.info.classes == chosen
    assert [(source[i].id, source[i].label) for i in range(len(source))] == [(e.id, 0 if e.label == 74 else 1) for e in of_two]
    assert len(source) > 1
    assert {source[i].group for i in range(len(source))} == source.groups < whole.groups
    one = tfds.source("train", seed=0, name="imagenet2012", folder=str(imagenet_folder), per_class=1)
    labels = [one.record(i).label for i in range(len(one))]
    assert len(labels) == len(set(labels)) == len({whole.record(i).label for i in range(len(whole))})
    assert len({whole.fingerprint, source.fingerprint, one.fingerprint}) == 3
    copy = pickle.loads(pickle.dumps(source))
    assert copy[1].id == source[1].id


def test_a_subset_of_classes_excludes_other_objects(tmp_path: Path) -> None:
    prepare("voc/2007", tmp_path, {"train": [voc(0), voc(1)]})
    whole = tfds.source("train", seed=0, name="voc/2007", folder=str(tmp_path))
    cats = tfds.source("train", seed=0, name="voc/2007", folder=str(tmp_path), classes=["cat"])
    assert (len(cats), cats.info.classes, cats[0].label, cats[0].labels_n.tolist()) == (2, ("cat",), 0, [0])
    np.testing.assert_allclose(cats[0].boxes_nx4, [TOP], atol=1e-6)
    both = tfds.source("train", seed=0, name="voc/2007", folder=str(tmp_path), classes=["dog", "cat"])
    assert both[0].labels_n.tolist() == [1, 0]
    assert both[0].label == 0, "the largest is a dog"
    assert whole[0].labels_n.tolist() == [7, 11]


def test_data_in_another_format_is_reported(imagenet_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "imagenet2012" / "5.1.0"
    shutil.copytree(imagenet_folder / "imagenet2012" / "5.1.0", folder)
    for path in list(folder.glob("*array_record*")):
        path.rename(path.with_name(path.name.replace("array_record", "tfrecord")))
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    refused = lambda: tfds.source("train", seed=0, name="imagenet2012", folder=str(tmp_path))  # noqa: E731
    assert_refused(refused, "no prepared imagenet2012 (array_record)", "tfrecord")


def test_invalid_options_raise_in_one_line(imagenet_folder: Path, tmp_path: Path) -> None:
    def source(**options: Any) -> Any:
        return lambda: tfds.source("train", **{"seed": 0, "name": "imagenet2012", "folder": str(imagenet_folder), **options})

    assert_refused(source(train="trian"), "no split 'trian'", "possible: train, validation", "even_splits(train, 3)[0]")  # misspelled
    assert_refused(source(train="even_splits(train, 3)[3]"), "even_splits(train, 3)[3]")
    for none in ("train[:0]", "train[5:2]"):
        assert_refused(source(train=none), "has no examples")
    assert_refused(source(train="even_splits(train, 99999999)[0]"), "too many parts")
    assert_refused(source(classes=("n0144076",)), "unknown class of imagenet2012 'n0144076'")
    assert_refused(source(classes=("n01440764", "n01440764")), "twice")
    absent = min(set(range(1000)) - {imagenet_shaped.label_of(number) for number in range(imagenet_shaped.TRAIN)})
    assert_refused(source(classes=(source()().info.classes[absent],)), "no example of imagenet2012")
    assert_refused(source(channels=2), "must be 3 (RGB), 1 (grayscale)")
    assert_refused(source(name=""), "data.options.name is empty", "imagenet2012")
    assert_refused(source(name="imagenet_2012"), "did you mean 'imagenet2012'?")
    assert_refused(lambda: tfds.source("tset", seed=0, name="imagenet2012"), "did you mean 'test'?")
    unprepared = f"no prepared imagenet2012 (array_record) in {tmp_path}"
    assert_refused(source(folder=str(tmp_path)), unprepared, f"imgloc data prepare imagenet2012 --folder {tmp_path}", "img_train.tar")
    assert_refused(source(name="coco/2017", folder=str(tmp_path)), "annotations/instances_*.json")
    assert_refused(source(name="no_such_set", folder=str(tmp_path)), "no prepared no_such_set")
    assert not list(tmp_path.iterdir())


def test_records_in_two_splits_are_reported_before_training(imagenet_folder: Path) -> None:
    def faults(**options: str) -> list[tuple[str, str, str]]:
        config = base().data
        config.source = "tfds"
        config.options.update(name="imagenet2012", folder=str(imagenet_folder), **options)
        findings = check_data(config, 0, thorough=False)
        assert findings is not None
        return [(fault.kind, fault.where, fault.what) for fault in findings.faults]

    assert not faults()
    assert not faults(train="train[:50%]", validation="train[50%:]", test="nosuch")
    half = imagenet_shaped.TRAIN // 2
    assert faults(train="train", validation="train[50%:]") == [
        ("duplicate_image", "validation (train[50%:])", f"{half} of its examples are also in train (train)")
    ]
    assert faults(train="train+train[:50%]", validation="validation", test="nosuch") == [
        ("repeated_image", "train (train+train[:50%])", f"{half} of its examples are included twice")
    ]


def test_a_file_that_was_damaged_after_preparing_raises_in_one_line(tmp_path: Path) -> None:
    prepare("imagenet2012", tmp_path, {"train": [{"image": encoded(i), "label": 1, "file_name": f"{i}"} for i in range(20)]})
    file = next(tmp_path.rglob("*.array_record-*"))
    content = file.read_bytes()

    def source() -> Any:
        return tfds.source("train", seed=0, name="imagenet2012", folder=str(tmp_path), train="train")

    place = content.rindex(b"JFIF")  # of the last record: the first ones are read when the source is opened
    file.write_bytes(content[:place] + b"\0" * 40 + content[place + 40 :])
    opened = source()
    assert opened[0].label == 1
    assert_refused(lambda: [opened[i] for i in range(20)], "cannot be read", "imgloc data prepare reports which files")
    file.write_bytes(content[: len(content) // 2])
    assert_refused(source, "imagenet2012-train-0 in ", "cannot be read")
    file.unlink()
    assert_refused(source, f"{file} is missing")
    os.mkfifo(file)
    assert_refused(source, f"{file} is not a file")


def test_a_split_without_labels_raises_and_a_damaged_image_is_reported_by_name(tmp_path: Path) -> None:
    bad = {"image": encoded(0, size=(200, 200)).getvalue()[:700], "label": 1, "file_name": "bad.JPEG"}
    none = {"image": encoded(1), "label": -1, "file_name": "unlabelled.JPEG"}
    good = {"image": encoded(2), "label": 2, "file_name": "good.JPEG"}
    prepare("imagenet2012", tmp_path, {"train": [bad, none, good], "test": [none, none]})
    assert_refused(
        lambda: tfds.source("test", seed=0, name="imagenet2012", folder=str(tmp_path), test="test"),
        "'test' of imagenet2012 has no labels", "set data.options.test to another split, of ",
    )  # fmt: skip
    source = tfds.source("train", seed=0, name="imagenet2012", folder=str(tmp_path), train="train")
    results = {}
    for index in range(3):
        try:
            results[source.record(index).id] = source[index].label
        except UnreadableImage as error:
            results[source.record(index).id] = str(error)
    assert results["good.JPEG"] == 2
    assert results["bad.JPEG"].startswith("bad.JPEG: it is damaged")
    assert results["unlabelled.JPEG"] == "unlabelled.JPEG: it has neither class nor box"
    kinds = {fault.kind for fault in check_sources({"train": source}).faults}
    assert kinds == {"unreadable_image", "unboxed_image"}, "images without boxes are not faults: COCO has a thousand"


def test_threads_and_pickled_copies_read_the_same_examples(imagenet_folder: Path) -> None:
    source = tfds.source("train", seed=0, name="imagenet2012", folder=str(imagenet_folder))
    copy = pickle.loads(pickle.dumps(source))
    assert len(pickle.dumps(source)) < 100_000, "records are pickled"
    one_by_one = [source[i] for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(copy.__getitem__, [*range(200)] * 3))
    for i, example in enumerate(together):
        assert example.id == one_by_one[i % 200].id
        np.testing.assert_array_equal(example.image_hxwxc, one_by_one[i % 200].image_hxwxc)
    assert isinstance(source, Reducible)
    reduced = source.reduced(3, 4, 4)
    assert (reduced.id, reduced.label) == (source[3].id, source[3].label)
    assert min(reduced.image_hxwxc.shape[:2]) >= 4
    assert source[-1].id == source[len(source) - 1].id
    with pytest.raises(IndexError):
        source.record(len(source))


def test_images_of_all_modes_are_decoded(imagenet_folder: Path) -> None:
    source = tfds.source("train", seed=0, name="imagenet2012", folder=str(imagenet_folder))
    modes = set()
    for index in range(40):
        example = source[index]
        number = int(example.id.removesuffix(".JPEG").split("_")[-1])
        picture = imagenet_shaped.picture(number)
        modes.add(picture.mode)
        assert example.label == imagenet_shaped.label_of(number)
        assert example.image_hxwxc.shape == (picture.height, picture.width, 3)
        difference = np.abs(example.image_hxwxc.astype(int) - np.asarray(picture.convert("RGB")).astype(int))
        assert difference.mean() < 6, (example.id, picture.mode)  # the error of JPEG
    assert modes == {"RGB", "L", "CMYK"}


def test_images_are_decoded_as_stored_and_at_the_requested_size(imagenet_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    real = tfds.decode.decode_image

    def decode_image(content: bytes, **options: Any) -> Any:
        calls.append(options)
        return real(content, **options)

    monkeypatch.setattr(tfds.decode, "decode_image", decode_image)
    source = tfds.source("test", seed=0, name="imagenet2012", folder=str(imagenet_folder), channels=1)
    assert source[0].image_hxwxc.shape[2] == source.info.channels == 1
    source.reduced(0, 7, 9)
    assert calls == [{"channels": 1, "turn": False, "at_least": None}, {"channels": 1, "turn": False, "at_least": (7, 9)}]


def test_exif_is_ignored_because_boxes_refer_to_the_stored_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.open(encoded(3)).save(file, "JPEG", exif=exif)
    file.seek(0)
    prepare("imagenet2012", tmp_path, {"train": [{"image": file, "label": 1, "file_name": "turned.JPEG"}]})
    source = tfds.source("train", seed=0, name="imagenet2012", folder=str(tmp_path), train="train")
    assert source[0].image_hxwxc.shape == (HEIGHT, WIDTH, 3)


def test_records_equal_those_that_tfds_decodes(tmp_path: Path) -> None:
    import tensorflow_datasets

    prepare("stanford_dogs", tmp_path, {"train": [dogs(i) for i in range(COUNT)]}, LAYOUTS["stanford_dogs"][3])
    source = tfds.source("train", seed=0, name="stanford_dogs", folder=str(tmp_path), train="train")
    builder = tensorflow_datasets.builder("stanford_dogs", data_dir=str(tmp_path), file_format="array_record")
    theirs = builder.as_data_source("train", decoders={"image": tensorflow_datasets.decode.SkipDecoding()})
    for index in range(COUNT):
        ours, record = source.record(index), theirs[index]
        assert ours.content == record["image"]
        assert ours.id == record["image/filename"].decode()
        np.testing.assert_array_equal(ours.boxes_nx4[:, [1, 0, 3, 2]], record["objects"]["bbox"])


def test_reading_imports_neither_tensorflow_nor_jax(imagenet_folder: Path) -> None:
    code = (
        "import sys; from imgloc.data.sources import tfds as s\n"
        f"s.source('test', seed=0, name='imagenet2012', folder={str(imagenet_folder)!r})[0]\n"
        "print({'tensorflow', 'jax'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(processes.ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=processes.ROOT, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "set()"


def test_coco_is_read_from_its_own_files(tmp_path: Path) -> None:
    entries: dict[str, list[int]] = {}
    for number in range(300):
        part = "train2017" if number < 290 else "val2017"
        (tmp_path / part).mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 30, 3), number % 256, np.uint8)).save(tmp_path / part / f"{number}.png")
        entries.setdefault(part, []).append(number)
    (tmp_path / "annotations").mkdir()
    for part, numbers in entries.items():
        content = {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 30, "height": 20} for n in numbers],
            "annotations": [{"id": n, "image_id": n, "category_id": 7, "bbox": [3, 5, 12, 10], "iscrowd": 0} for n in numbers],
            "categories": [{"id": 7, "name": "cat"}],
        }
        (tmp_path / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    splits = {split: tfds.source(split, seed=0, name="coco/2017", folder=str(tmp_path)) for split in tfds.SPLITS}
    files = {split: {entry.file for entry in source.entries} for split, source in splits.items()}
    assert files["test"] == {f"val2017/{number}.png" for number in range(290, 300)}, "published results are on val2017"
    assert files["train"] | files["validation"] == {f"train2017/{number}.png" for number in range(290)}
    assert 1 <= len(splits["validation"]) <= 15
    assert not splits["train"].groups & splits["validation"].groups
    assert splits["train"].info.classes == ("cat",)
    np.testing.assert_allclose(splits["validation"][0].boxes_nx4, [[0.1, 0.25, 0.5, 0.75]])
    assert_refused(lambda: tfds.source("train", seed=0, name="coco/2017", folder=str(tmp_path), per_class=2), "have fixed splits")
    assert_refused(lambda: tfds.source("train", seed=0, name="coco/2017", folder=str(tmp_path / "annotations")), "coco/2017")


def test_one_based_boxes_are_the_same_from_headers_and_images_also_one_pixel_wide(tmp_path: Path) -> None:
    flags = {"pose": "left", "is_truncated": False, "is_difficult": False}
    # In VOC's numbers: column 3 of rows 3 to 10, and columns 1 and 2 of rows 1 to 4: eight pixels each.
    thin, wide = (3 / WIDTH, 3 / HEIGHT, 3 / WIDTH, 10 / HEIGHT), (1 / WIDTH, 1 / HEIGHT, 2 / WIDTH, 4 / HEIGHT)
    objects = [{"label": label, "bbox": as_tfds(box), **flags} for label, box in (("cat", thin), ("dog", wide))]
    prepare("voc/2007", tmp_path, {"train": [{**voc(0), "objects": objects}]})
    source = tfds.source("train", seed=0, name="voc/2007", folder=str(tmp_path))
    known, read = source.known(0), source[0]
    np.testing.assert_allclose(read.boxes_nx4, [(2 / WIDTH, 2 / HEIGHT, *thin[2:]), (0, 0, *wide[2:])], atol=1e-6)
    np.testing.assert_array_equal(known.boxes_nx4, read.boxes_nx4)
    assert known.label == read.label == int(read.labels_n[0])  # of boxes of equal size, the first is the largest


def test_groups_do_not_depend_on_naming_the_config(tmp_path: Path) -> None:
    prepare("voc/2007", tmp_path, {"train": [voc(0)]})
    bare, full = (tfds.source("train", seed=0, name=name, folder=str(tmp_path)) for name in ("voc", "voc/2007"))
    assert bare.groups == full.groups == {"voc/2007-train-0"}
    assert bare.fingerprint == full.fingerprint


def test_the_fingerprint_depends_only_on_what_determines_examples(imagenet_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint(**changes: Any) -> str:
        monkeypatch.setitem(TABLE, "imagenet2012", dataclasses.replace(before, **changes))
        return tfds.source("validation", seed=0, name="imagenet2012", folder=str(imagenet_folder)).fingerprint

    before = TABLE["imagenet2012"]
    assert fingerprint(note="in other words", tensorflow=False) == fingerprint()
    assert len({fingerprint(), fingerprint(turn=True), fingerprint(id="")}) == 3


def test_more_files_than_the_limit_on_open_files_are_read(tmp_path: Path) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    parts = []
    for number in range(40):
        writer = ArrayRecordWriter(str(tmp_path / str(number)), "group_size:1")
        writer.write(str(number).encode())
        writer.close()
        parts.append(Part(str(tmp_path / str(number)), 0, 1, "train", number, number))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, before[1]))
    try:
        records = open_records(tuple(parts))
        assert [records[number] for number in range(40)] == [str(number).encode() for number in range(40)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
