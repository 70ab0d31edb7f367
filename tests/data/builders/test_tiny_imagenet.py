"""Tiny ImageNet: its files, and the counts and baselines of a real archive."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc import boxes
from imgloc.data.prepared.members import open_members
from imgloc.data.prepared.writer import prepare
from imgloc.data.sources import tfds
from imgloc.errors import UserError
from tests import tiny_imagenet_shaped as shaped
from tests.refusals import assert_refused

ARCHIVE = "tiny-imagenet/tiny-imagenet-200-sub100.zip"


def plan(path: Path) -> Any:
    from imgloc.data.builders import tiny_imagenet

    return tiny_imagenet.plan(open_members(path))


def expected() -> dict[str, tuple[int, tuple[int, ...], int]]:
    """File name -> number of its image, annotated box, label in alphabetical order."""
    order = sorted(shaped.WNIDS)
    numbers = {}
    for place, wnid in enumerate(shaped.WNIDS):
        numbers |= {f"{wnid}_{n}.JPEG": (n, shaped.box(n), order.index(wnid)) for n in range(1000 * place, 1000 * place + shaped.TRAIN)}
    return numbers | {f"val_{n}.JPEG": (5000 + n, shaped.box(n), order.index(shaped.WNIDS[n % 3])) for n in range(shaped.VAL)}


@pytest.mark.parametrize("kind", ["zip", "folder", "folder around it"])
def test_every_image_has_its_bytes_box_and_class(kind: str, tmp_path: Path) -> None:
    origin = tmp_path / "in" / "tiny-imagenet-200"
    if kind == "zip":
        origin.mkdir(parents=True)
        origin = shaped.write_zip(tmp_path / "in" / "tiny.zip", shaped.entries())
    else:
        shaped.write_folder(origin, shaped.entries())
        origin = origin if kind == "folder" else origin.parent
    done = prepare("tiny_imagenet", origin=str(origin), folder=str(tmp_path / "out"))
    assert (done.examples, done.status) == ({"train": 24, "val": 5}, "prepared")
    known = expected()
    seen = {}
    for split, count in (("train", 22), ("validation", 2), ("test", 5)):
        source = tfds.source(split, seed=0, name="tiny_imagenet", folder=str(tmp_path / "out"))
        assert len(source) == count
        assert source.info.classes == ("goldfish", "Egyptian cat", "reel")
        for index in range(count):
            example, record = source[index], source.record(index)
            number, (x0, y0, x1, y1), label = known[example.id]
            seen[example.id] = split
            assert record.content == shaped.picture(number), "the encoded image is unchanged"
            assert example.image_hxwxc.shape == (64, 64, 3)
            assert example.label == example.labels_n.item() == label
            assert (example.boxes_nx4 * 64).tolist() == [[x0, y0, x1 + 1, y1 + 1]], "exact in float32"
    assert set(seen) == set(known)
    assert all((split == "test") == name.startswith("val_") for name, split in seen.items())


def test_plain_tfds_reads_it_and_writes_the_same_records(tmp_path: Path) -> None:
    import tensorflow_datasets

    from imgloc.data.builders.tiny_imagenet import ARCHIVE, TinyImagenet

    archive = shaped.write_zip(tmp_path / ARCHIVE, shaped.entries())
    ours = prepare("tiny_imagenet", origin=str(archive), folder=str(tmp_path / "ours")).folder
    by_tfds = TinyImagenet(data_dir=str(tmp_path / "theirs"), file_format="array_record")
    by_tfds.download_and_prepare(download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=tmp_path))
    by_name = tensorflow_datasets.builder("tiny_imagenet", data_dir=str(tmp_path / "ours"), file_format="array_record")
    for builder in (by_name, tensorflow_datasets.builder_from_directory(ours)):
        assert builder.info.features["label"].names == sorted(shaped.WNIDS)
        assert {split: info.num_examples for split, info in builder.info.splits.items()} == {"train": 24, "val": 5}
        assert len(builder.as_data_source("train[50%:]+val")) == 17
        for split in ("train", "val"):
            skip = {"image": tensorflow_datasets.decode.SkipDecoding()}
            read = [sorted(map(repr, b.as_data_source(split, decoders=skip))) for b in (builder, by_tfds)]
            assert read[0] == read[1]
        decoded = [record for record in builder.as_data_source("train") if record["file_name"] == b"n02124075_1.JPEG"]
        assert decoded[0]["image"].shape == (64, 64, 3)


# file, change of its content (None: removed), message
FAULTS: dict[str, tuple[str, Any, str]] = {
    "no list of classes": ("wnids.txt", None, "it has no wnids.txt"),
    "classes twice": ("wnids.txt", lambda b: b + b, "got 6 classes, 3 different"),
    "a class that is not listed": ("wnids.txt", lambda b: b[:-10], "'n04067472', which wnids.txt does not contain"),
    "a val image that is not there": (
        "val/val_annotations.txt", lambda b: b + b"val_9.jpg\tn02124075\t1\t2\t3\t4\n", "1 images without a file, such as val/images/val_9",
    ),
    "a val image without a box": (
        "val/val_annotations.txt", lambda b: b[: b.rindex(b"val_4")], "1 images without a box, such as val/images/val_4.JPEG",
    ),
    "no boxes of a class": ("train/n04067472/n04067472_boxes.txt", None, "no file tiny-imagenet-200/train/n04067472/n04067472_boxes.txt"),
    "a box outside": ("train/n04067472/n04067472_boxes.txt", lambda b: b.replace(b"\t40\n", b"\t64\n", 1), "x0 y0 x1 y1 from 0 to 63"),
    "a box that is not a number": ("train/n04067472/n04067472_boxes.txt", lambda b: b.replace(b"\t3\t", b"\t3.5\t", 1), "four integers"),
    "a column too few": ("train/n04067472/n04067472_boxes.txt", lambda b: b.replace(b"\t3\t", b"\t", 1), "boxes.txt:2 in"),
    "no val": ("val/val_annotations.txt", lambda _: b"", "images without a box"),
    "words that are not text": ("words.txt", lambda _: b"\xff\xfe", "is not UTF-8 text"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_inconsistent_files_raise(fault: str, tmp_path: Path) -> None:
    name, change, message = FAULTS[fault]
    files = shaped.entries()
    before = files.pop(name)
    if change is not None:
        files[name] = change(before)
        assert files[name] != before
    assert_refused(lambda: plan(shaped.write_zip(tmp_path / "a.zip", files)), message)


@given(
    name=st.sampled_from(["wnids.txt", "words.txt", "val/val_annotations.txt", "train/n04067472/n04067472_boxes.txt"]),
    content=st.binary(max_size=60) | st.text("val_0.JPEG n\t1234-\n", max_size=80).map(str.encode),
    keep=st.booleans(),
)
def test_any_text_is_read_or_raises_in_one_line(name: str, content: bytes, keep: bool) -> None:
    files = shaped.entries(train=2, val=2)
    files[name] = files[name] + content if keep else content
    with tempfile.TemporaryDirectory() as folder:
        archive = shaped.write_zip(Path(folder) / "a.zip", files)
        try:
            sizes = {split: len(names) for split, names in plan(archive).sizes.items()}
        except UserError:
            assert_refused(lambda: plan(archive))
        else:
            assert sizes == {"train": 6, "val": 2}


def test_a_real_archive_has_the_published_counts_and_baselines(data_folder: Path, tmp_path: Path) -> None:
    if not (data_folder / ARCHIVE).is_file():
        pytest.skip(f"no {ARCHIVE} in IMGLOC_DATA")
    done = prepare("tiny_imagenet", origin=str(data_folder / ARCHIVE), folder=str(tmp_path))
    assert done.examples == {"train": 20_000, "val": 10_000}
    train = tfds.source("train", seed=0, name="tiny_imagenet", folder=str(tmp_path), train="train")
    val = tfds.source("test", seed=0, name="tiny_imagenet", folder=str(tmp_path))
    assert len(val.info.classes) == len(set(val.info.classes)) == 200
    truths = [val.record(i) for i in range(len(val))]
    assert np.bincount([truth.label for truth in truths]).tolist() == [50] * 200
    val_boxes = np.concatenate([truth.boxes_nx4 for truth in truths])
    train_boxes = np.concatenate([train.record(i).boxes_nx4 for i in range(len(train))])
    assert (len(val_boxes), len(train_boxes)) == (10_000, 20_000), "a box for every image"
    median = np.median(train_boxes * 64 - [0, 0, 1, 1], axis=0)
    assert median.tolist() == [4, 8, 60, 60]
    fixed = {"whole": np.array([0, 0, 64, 64]), "median": np.array([4, 8, 61, 61])}
    scores = {}
    for name, box in fixed.items():
        overlap = boxes.iou(val_boxes.astype(np.float64) * 64, np.broadcast_to(box.astype(np.float64), val_boxes.shape))
        scores[name] = [round(100 * float(np.mean(overlap >= bar)), 2) for bar in (0.3, 0.5, 0.7)]
    assert scores == {"whole": [69.72, 52.11, 34.19], "median": [73.65, 56.70, 36.83]}
    few = tfds.source("train", seed=0, name="tiny_imagenet", folder=str(tmp_path), classes=("goldfish", "n01641577"), per_class=30)
    assert (len(few), few.info.classes) == (60, ("goldfish", "bullfrog"))
    assert len({val[i].image_hxwxc.shape for i in range(0, len(val), 50)}) == 1
