"""Unreadable images are skipped in training and evaluation and reported once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from imgloc.data.batches import sampler
from imgloc.data.batches.pipeline import BatchDataset, eval_batches, first_readable_example, readable_examples, train_batches
from imgloc.errors import UnreadableImage
from imgloc.types import Example, InputSpec
from tests.data.batches.test_pipeline import SHAPE, Numbered, make_sampler
from tests.refusals import assert_refused


@dataclass(frozen=True)
class Damaged(Numbered):
    """The same examples, some of which are unreadable."""

    bad: tuple[int, ...] = (2, 3)
    name: str = ""

    def __getitem__(self, index: int) -> Example:
        if index in self.bad:
            raise UnreadableImage(f"{self.name}{index}.jpg: it is damaged")
        return super().__getitem__(index)


def test_training_reads_the_next_example_and_reports_once(capfd: pytest.CaptureFixture[str]) -> None:
    source = Damaged(10, name="train")
    dataset = BatchDataset(make_sampler(source, stop_step=5), InputSpec(SHAPE))
    levels = [[int(i) for i in batch.images_bxhxwxc[:, 0, 0, 0]] for batch in train_batches(dataset, threads=2, workers=0)]
    whole = [dataset.sampler.index(number) for number in range(32)]
    expected = [next(i for i in whole[n:] if i not in (2, 3)) for n in range(30)]
    assert list(itertools.chain(*levels)) == expected
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert {line.split(": ")[-2] for line in lines} == {"train2.jpg", "train3.jpg"}
    assert "(so far " in lines[0]


def test_evaluation_skips_them(capfd: pytest.CaptureFixture[str]) -> None:
    ids = [
        [example.id for example in examples] for examples, batch in eval_batches(Damaged(10, name="eval"), 4, InputSpec(SHAPE), threads=3)
    ]
    assert ids == [["0", "1"], ["4", "5", "6", "7"], ["8", "9"]]
    assert len(capfd.readouterr().err.splitlines()) == 2
    assert [example.id for example in readable_examples(Damaged(5, bad=(0,), name="some"), range(3))] == ["1", "2"]
    assert first_readable_example(Damaged(5, bad=(0, 1), name="first")).id == "2"


def test_without_a_readable_image_an_error_is_raised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sampler, "MAX_UNREADABLE", 5)
    nothing = Damaged(10, bad=tuple(range(10)), name="none")
    assert_refused(lambda: make_sampler(nothing).example(0), "5 images in a row", "imgloc data check")
    assert_refused(lambda: first_readable_example(nothing), "can be decoded", "imgloc data check")


@dataclass(frozen=True)
class Large(Numbered):
    """A source that decodes at the requested size."""

    def reduced(self, index: int, height: int, width: int) -> Example:
        plain = self[index]
        return Example(np.full((height, width, 1), 7, np.uint8), plain.boxes_nx4, plain.labels_n, 0, plain.id, plain.group)


def test_a_reducible_source_decodes_at_the_requested_size() -> None:
    assert sampler.read_example(Large(10), 3, (20, 30)).image_hxwxc.shape == (20, 30, 1)
    assert sampler.read_example(Large(10), 3).image_hxwxc.shape == (8, 12, 1)
    assert sampler.read_example(Numbered(10), 3, (20, 30)).image_hxwxc.shape == (8, 12, 1)
