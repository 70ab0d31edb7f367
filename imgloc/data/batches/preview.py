"""Some examples of a split, drawn by a seed, as they are or as training sees them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import resized_example
from imgloc.data.batches.sampler import MOST_UNREADABLE, IndexSampler
from imgloc.types import Augmentation, Example, InputSpec, Source


def drawn(source: Source, count: int, *, seed: int, at_least: tuple[int, int]) -> list[Example]:
    """At most `count` examples drawn at random, no one twice, no side of their images below `at_least` unless it is stored so.

    Those that cannot be decoded are passed over, and told.
    """
    size = pipeline.finite_size(source)
    indices = np.random.default_rng(seed).permutation(size)[: count + MOST_UNREADABLE].tolist()
    found: list[Example] = []
    for example in pipeline.readable(source, indices, at_least):
        found.append(example)
        if len(found) == count:
            break
    return found


def as_trained(source: Source, count: int, *, seed: int, view: InputSpec, augmentation: Augmentation | None) -> Iterator[Example]:
    """The first `count` examples that a training of this seed sees: augmented, fitted to the view, with the boxes that it keeps."""
    order = IndexSampler(source, seed=seed, batch_size=count, start_step=0, stop_step=1)
    made = pipeline.BatchDataset(order, view, augmentation)
    for number in range(count):
        yield resized_example(made.example(number), view)[0]
