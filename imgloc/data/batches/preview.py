"""Random examples of a split, and examples as training reads them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import resize_example
from imgloc.data.batches.sampler import MAX_UNREADABLE, IndexSampler
from imgloc.types import Augmentation, Example, InputSpec, Source


def random_examples(source: Source, count: int, *, seed: int, at_least: tuple[int, int]) -> list[Example]:
    """At most `count` examples drawn without replacement; see `sampler.read_example` for `at_least`.

    Unreadable images are skipped and reported.
    """
    size = pipeline.finite_size(source)
    indices = np.random.default_rng(seed).permutation(size)[: count + MAX_UNREADABLE].tolist()
    return list(itertools.islice(pipeline.readable_examples(source, indices, at_least), count))


def training_examples(source: Source, count: int, *, seed: int, spec: InputSpec, augmentation: Augmentation | None) -> Iterator[Example]:
    """The first `count` examples of a training run with this seed, augmented and resized to the model's input."""
    sampler = IndexSampler(source, seed=seed, batch_size=count, start_step=0, stop_step=1)
    dataset = pipeline.BatchDataset(sampler, spec, augmentation)
    for number in range(count):
        yield resize_example(dataset.example(number), spec)[0]
