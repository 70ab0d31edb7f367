"""The sizes of the images of a split."""

from __future__ import annotations

import contextlib

from imgloc.data.batches.pipeline import finite_size
from imgloc.errors import UnreadableImage
from imgloc.types import Source, TruthKnown


def image_sizes(source: Source) -> dict[str, tuple[int, int]]:
    """Return width and height in pixels of each upright image by the id of its example, where it can be read."""
    sizes: dict[str, tuple[int, int]] = {}
    for index in range(finite_size(source)):
        with contextlib.suppress(UnreadableImage):
            if isinstance(source, TruthKnown):
                truth = source.known(index)
                if truth.width and truth.height:
                    sizes[truth.id] = (truth.width, truth.height)
                    continue
            example = source[index]
            height, width = example.image_hxwxc.shape[:2]
            sizes[example.id] = (width, height)
    return sizes
