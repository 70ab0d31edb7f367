"""The number of objects in each image of a source, counted at the lowest cost that the source supports."""

from __future__ import annotations

import numpy as np

from imgloc.errors import UnreadableImage
from imgloc.types import InMemory, IntArray, ObjectsCounted, Source, TruthKnown

SAMPLE = 10_000  # images of a split whose truths must be read
ENDLESS_SAMPLE = 500  # images that are made to count their objects
CHUNK = 256


def count_objects(source: Source) -> IntArray:
    """The number of objects (n,) of every image of a split, or of a sample of an endless or long one; unreadable images are left out.

    The sample of an endless split has ENDLESS_SAMPLE images, that of one whose truths must be read about SAMPLE.
    """
    if isinstance(source, ObjectsCounted):
        return source.object_counts()
    size = min(len(source), ENDLESS_SAMPLE) if source.info.endless else len(source)
    indices = range(0, size, max(1, size // SAMPLE))
    if isinstance(source, InMemory):
        chunks = [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]
        masks = [np.asarray(source.take(np.array(chunk, np.int64)).object_mask_bxn) for chunk in chunks]
        return np.concatenate([mask.sum(axis=1) for mask in masks])
    counts = []
    for index in indices:
        try:
            labels_n = source.known(index).labels_n if isinstance(source, TruthKnown) else source[index].labels_n
            counts.append(len(labels_n))
        except UnreadableImage:
            continue
    return np.array(counts, np.int64)
