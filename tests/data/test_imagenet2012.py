"""ImageNet as TFDS prepares it: splits, decoding, and what is said where it is not there."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from imgloc.data.sources import imagenet2012
from tests import imagenet_shaped, processes
from tests.refusals import assert_refused


def number_of(name: str) -> int:
    """The number of a picture, from its file name."""
    return int(name.removesuffix(".JPEG").split("_")[-1])


def test_splits_are_99_and_1_percent_of_train_and_the_labelled_validation(imagenet_folder: Path) -> None:
    splits = {split: imagenet2012.source(split, seed=0, folder=str(imagenet_folder)) for split in ("train", "validation", "test")}
    assert {split: len(source) for split, source in splits.items()} == {"train": 693, "validation": 7, "test": 12}
    names = {split: [source[i].id for i in range(len(source))] for split, source in splits.items()}
    assert {number_of(name) for name in names["train"] + names["validation"]} == set(range(700))
    assert {number_of(name) for name in names["test"]} == set(range(700, 712))
    assert sorted(names["validation"], key=number_of) != [f"n01440764_{i}.JPEG" for i in range(693, 700)], "not the last that came"
    groups = {split: source.groups for split, source in splits.items()}
    assert all(len(groups[split]) == len(names[split]) for split in splits)
    assert not groups["train"] & groups["validation"]
    for source in splits.values():
        assert source[2].group in source.groups
        assert len(source.info.classes) == 1000
        assert source.info.classes[0] == "n01440764"
        assert source.info.classes[-1] == "n15075141"


def test_pixels_and_labels_are_those_of_the_files(imagenet_folder: Path) -> None:
    source = imagenet2012.source("train", seed=0, folder=str(imagenet_folder))
    modes = set()
    for index in range(0, 40):
        example = source[index]
        number = number_of(example.id)
        made = imagenet_shaped.picture(number)
        modes.add(made.mode)
        assert example.image_hxwxc.shape == (made.height, made.width, 3)
        assert example.label == imagenet_shaped.label_of(number)
        assert example.boxes_nx4.shape == (0, 4)
        difference = np.abs(example.image_hxwxc.astype(int) - np.asarray(made.convert("RGB")).astype(int))
        assert difference.mean() < 6, (example.id, made.mode)  # JPEG keeps that much
    assert modes == {"RGB", "L", "CMYK"}


def test_it_goes_to_worker_processes_and_is_the_same_there(imagenet_folder: Path) -> None:
    source = imagenet2012.source("test", seed=0, folder=str(imagenet_folder))
    copy = pickle.loads(pickle.dumps(source))
    assert len(pickle.dumps(source)) < 1_000_000, "records are not carried along"
    assert copy.fingerprint == source.fingerprint
    np.testing.assert_array_equal(copy[5].image_hxwxc, source[5].image_hxwxc)


def test_a_broken_record_is_told_by_its_name() -> None:
    broken = io.BytesIO()
    Image.new("RGB", (40, 40)).save(broken, "JPEG")
    records = [{"image": content, "label": 0, "file_name": b"bad.JPEG"} for content in (broken.getvalue()[:200], b"no image")]
    source = imagenet2012.ImageNet2012("train", 0, records, ("a", "b"), "f")
    for index in range(2):
        assert_refused(lambda index=index: source[index], "cannot decode bad.JPEG")


def test_where_it_is_not_prepared_one_line_says_so_and_how(tmp_path: Path) -> None:
    assert_refused(
        lambda: imagenet2012.source("train", seed=0, folder=str(tmp_path)),
        f"no prepared imagenet2012 (array_record) in {tmp_path}", f"data_dir='{tmp_path}'", "download_and_prepare()", "img_train.tar",
    )  # fmt: skip
    assert_refused(lambda: imagenet2012.source("tset", seed=0), "did you mean 'test'?")
    assert not list(tmp_path.iterdir())


def test_reading_it_takes_no_tensorflow(imagenet_folder: Path) -> None:
    code = (
        "import sys; from imgloc.data.sources import imagenet2012 as s\n"
        f"print(s.source('test', seed=0, folder={str(imagenet_folder)!r})[0].label); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=processes.ROOT, check=True)
    assert done.stdout.split()[-1] == "False"
    assert int(done.stdout.split()[0]) in {imagenet_shaped.label_of(number) for number in range(700, 712)}
