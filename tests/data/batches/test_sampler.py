"""Images that cannot be decoded: skipped in training and evaluation, told once, never silently."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from imgloc.data.batches import sampler
from imgloc.data.batches.pipeline import BatchDataset, eval_batches, first_readable, readable, train_batches
from imgloc.errors import UnreadableImage
from imgloc.types import Example, InputSpec
from tests.data.batches.test_pipeline import SHAPE, Numbered, order_of
from tests.refusals import assert_refused


@dataclass(frozen=True)
class Damaged(Numbered):
    """Of the same examples some cannot be decoded; the size that is asked for is noted in the label."""

    bad: tuple[int, ...] = (2, 3)
    name: str = ""

    def __getitem__(self, index: int) -> Example:
        if index in self.bad:
            raise UnreadableImage(f"{self.name}{index}.jpg: it is damaged")
        return super().__getitem__(index)


def test_training_takes_the_next_one_and_says_so_once(capfd: pytest.CaptureFixture[str]) -> None:
    source = Damaged(10, name="train")
    made = BatchDataset(order_of(source, stop_step=5), InputSpec(SHAPE))
    sound = [[int(i) for i in batch.images_bxhxwxc[:, 0, 0, 0]] for batch in train_batches(made, threads=2, workers=0)]
    whole = [made.order.index(number) for number in range(32)]
    expected = [next(i for i in whole[n:] if i not in (2, 3)) for n in range(30)]
    assert list(itertools.chain(*sound)) == expected
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 2
    assert {line.split(": ")[-2] for line in told} == {"train2.jpg", "train3.jpg"}
    assert "(so far " in told[0]


def test_evaluation_leaves_them_out(capfd: pytest.CaptureFixture[str]) -> None:
    found = [
        [example.id for example in examples] for examples, batch in eval_batches(Damaged(10, name="eval"), 4, InputSpec(SHAPE), threads=3)
    ]
    assert found == [["0", "1"], ["4", "5", "6", "7"], ["8", "9"]]
    assert len(capfd.readouterr().err.splitlines()) == 2
    assert [example.id for example in readable(Damaged(5, bad=(0,), name="some"), range(3))] == ["1", "2"]
    assert first_readable(Damaged(5, bad=(0, 1), name="first")).id == "2"


def test_data_without_an_image_ends_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sampler, "MOST_UNREADABLE", 5)
    nothing = Damaged(10, bad=tuple(range(10)), name="none")
    assert_refused(lambda: order_of(nothing).example(0), "5 images in a row", "imgloc data check")
    assert_refused(lambda: first_readable(nothing), "can be decoded", "imgloc data check")


@dataclass(frozen=True)
class Large(Numbered):
    """Decodes at the size that is asked for."""

    def reduced(self, index: int, height: int, width: int) -> Example:
        plain = self[index]
        return Example(np.full((height, width, 1), 7, np.uint8), plain.boxes_nx4, plain.labels_n, 0, plain.id, plain.group)


def test_a_source_that_can_decodes_no_larger_than_is_needed() -> None:
    assert sampler.read(Large(10), 3, (20, 30)).image_hxwxc.shape == (20, 30, 1)
    assert sampler.read(Large(10), 3).image_hxwxc.shape == (8, 12, 1)
    assert sampler.read(Numbered(10), 3, (20, 30)).image_hxwxc.shape == (8, 12, 1)
