"""Few training images: subsets that contain each other, the same bits as in the whole split, nothing else changed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.config import build
from imgloc.config.resolve import resolve_from_data
from imgloc.config.schema import base
from imgloc.config.train_images import chosen
from imgloc.data.batches.sampler import IndexSampler
from imgloc.data.sources import folder as folders
from imgloc.types import Example, ObjectsCounted, Reducible, Source, TruthKnown
from tests.refusals import assert_refused

COUNT = 12  # training images of `annotated`, each of another gray level


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("annotated")
    rows = ["filename,class,xmin,ymin,xmax,ymax,split"]
    for i in range(COUNT + 4):
        pixels = np.full((40, 60, 3), 8 * i, np.uint8)
        pixels[10:30, 10 + i : 30 + i] += 100
        Image.fromarray(pixels).save(root / f"{i}.png")
        split = "train" if i < COUNT else ("validation", "test")[i % 2]
        rows += [f"{i}.png,{('cat', 'dog')[i % 2]},{10 + i},10,{30 + i},30,{split}"] * (1 + i % 3)
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def make(source: str, count: int = 0, split: str = "train", seed: int = 0, **options: Any) -> Source:
    data = base().data
    data.source, data.options, data.train_images = source, options, count
    return build.make_source(data, split, seed)


def bits(example: Example) -> tuple[object, ...]:
    arrays = (example.image_hxwxc, example.boxes_nx4, example.labels_n)
    return (*(array.tobytes() for array in arrays), example.label, example.id, example.group)


def all_bits(source: Source) -> set[tuple[object, ...]]:
    return {bits(source[i]) for i in range(len(source))}


@pytest.mark.parametrize("source", ["folder", "scattered_digits", "mnist"])
def test_few_images_are_among_more_and_the_same_for_every_seed(source: str, annotated: Path) -> None:
    options = {"folder": {"folder": str(annotated)}, "scattered_digits": {"canvas": 60}, "mnist": {}}[source]
    few, more = (make(source, count, seed=3, **options) for count in (4, 9))
    assert (len(few), len(more), few.info.endless) == (4, 9, False)
    assert len(all_bits(few)) == 4
    assert all_bits(few) < all_bits(more)
    assert all_bits(few) == all_bits(make(source, 4, seed=5, **options))
    assert few.fingerprint == make(source, 4, seed=5, **options).fingerprint
    assert len({few.fingerprint, more.fingerprint, make(source, **options).fingerprint}) == 3
    assert {few[i].group for i in range(4)} <= few.groups
    again = pickle.loads(pickle.dumps(few))
    assert (all_bits(again), again.fingerprint) == (all_bits(few), few.fingerprint)


def test_images_are_those_of_the_whole_split(annotated: Path) -> None:
    assert all_bits(make("folder", 5, folder=str(annotated))) < all_bits(make("folder", folder=str(annotated)))
    assert all_bits(make("folder", COUNT, folder=str(annotated))) == all_bits(make("folder", folder=str(annotated)))
    whole = make("scattered_digits", canvas=60)
    assert [bits(make("scattered_digits", 3, canvas=60)[i]) for i in range(3)] == [bits(whole[i]) for i in range(3)]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_other_splits_stay_whole(split: str, annotated: Path) -> None:
    few, whole = (make("folder", count, split, folder=str(annotated)) for count in (1, 0))
    assert (few.fingerprint, len(few)) == (whole.fingerprint, 2)


def test_a_subset_of_a_folder_is_a_folder(annotated: Path) -> None:
    few = make("folder", 5, folder=str(annotated))
    assert isinstance(few, Reducible)
    assert isinstance(few, TruthKnown)
    assert isinstance(few, ObjectsCounted)
    assert few.object_counts().tolist() == [len(few[i].labels_n) for i in range(5)] == [len(few.known(i).labels_n) for i in range(5)]
    assert few.groups == {few[i].group for i in range(5)}
    assert len(few.groups) == 5


def test_a_subset_of_any_source_reads_as_cheaply_as_the_source() -> None:
    few = make("mnist", 3)
    assert isinstance(few, Reducible)
    assert isinstance(few, TruthKnown)
    for i in range(3):
        assert bits(few.reduced(i, 8, 8)) == bits(few[i])
        assert few.known(i).id == few[i].id


def test_boxes_of_turned_images_do_not_depend_on_the_selection(tmp_path: Path) -> None:
    """The size of one image, turned by 90 degrees, shows that boxes refer to stored pixels. That of those turned by 180 cannot show it."""
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for i in range(6):
        exif = Image.Exif()
        exif[0x0112] = 3 if i else 6
        Image.new("RGB", (60, 40)).save(tmp_path / f"{i}.jpg", exif=exif)
        rows.append(f"{i}.jpg,60,40,cat,10,10,30,20")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    whole = folders.source("train", seed=0, folder=str(tmp_path), validation=0, test=0)
    expected = {whole[i].id: whole[i].boxes_nx4.tolist() for i in range(6)}
    others = whole.selected(lambda size: np.arange(1, size))
    assert {others[i].id: others[i].boxes_nx4.tolist() for i in range(5)} == {k: v for k, v in expected.items() if k != "0.jpg"}


def test_made_images_show_nothing_of_images_that_are_left_out(annotated: Path) -> None:
    few = make("folder", 2, folder=str(annotated))
    source = make("copy_paste", 2, folder=str(annotated), share=1.0, feather=0.0, flip=0.0)
    levels = {int(few[i].image_hxwxc[0, 0, 0]) for i in range(2)}
    allowed = levels | {level + 100 for level in levels}
    assert source.info.endless
    assert source.fingerprint != make("copy_paste", folder=str(annotated), share=1.0, feather=0.0, flip=0.0).fingerprint
    examples = [source[i] for i in range(20)]
    assert {example.group for example in examples} == few.groups == source.groups
    shown = np.concatenate([example.image_hxwxc.ravel() for example in examples])
    assert np.isin(shown, [*allowed]).mean() > 0.97  # the rest: edges of resized objects
    assert {example.id.split()[-1] for example in examples} == {few[i].id for i in range(2)}


@pytest.mark.parametrize("source", ["folder", "copy_paste"])
def test_more_images_than_there_are_is_one_line(source: str, annotated: Path) -> None:
    too_many = COUNT + 1
    assert_refused(lambda: make(source, too_many, folder=str(annotated)), f"data.train_images must be at most {COUNT}", f"got {too_many}")


def test_an_epoch_shows_each_image_once() -> None:
    sampler = IndexSampler(make("scattered_digits", 6, canvas=60), seed=1, batch_size=3, start_step=0, stop_step=4)
    epochs = [[sampler.index(number) for number in range(start, start + 6)] for start in (0, 6)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(6))] * 2
    assert epochs[0] != epochs[1]


def test_epochs_and_room_for_objects_are_those_of_the_few_images(annotated: Path) -> None:
    config = base()
    config.data.source, config.data.options, config.data.train_images = "folder", {"folder": str(annotated)}, 8
    config.data.max_objects, config.train.epochs, config.train.batch_size = 0, 3.0, 4
    few = make("folder", 8, folder=str(annotated))
    resolved = resolve_from_data(config)
    assert (resolved.train.steps, resolved.data.max_objects) == (6, max(len(few[i].labels_n) for i in range(8)))


def test_the_choice_is_a_random_sample() -> None:
    assert len(set(chosen(1000, 300).tolist())) == 300
    assert 400 < chosen(1000, 300).mean() < 600
