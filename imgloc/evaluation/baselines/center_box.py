"""A box around the center with half the area of the image, and the most frequent class of the training split, for every image.

It stands for a Gaussian at the center, the baseline of Choe et al., 2020, arXiv:2001.07437, section 4.2: each threshold of it gives such
a box. Half the area is a convention of this package, so that nothing is learned from boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc import boxes
from imgloc.evaluation.baselines import majority_class
from imgloc.interfaces import Baseline
from imgloc.types import Batch, Outputs

MARGIN = (1 - 0.5**0.5) / 2  # on each side, for half the area
BOX = np.array([MARGIN, MARGIN, 1 - MARGIN, 1 - MARGIN], np.float32)


def predict(counts: Sequence[int], batch: Batch) -> Outputs:
    """`logits` (b, k) and `box` (b, 4) on the input, the same for each image."""
    box = np.tile(BOX, (len(batch.label_b), 1))
    return {**majority_class.predict(counts, batch), "box": boxes.from_window(box, np.asarray(batch.content_bx4))}


BASELINE = Baseline(
    title="center box",
    meaning="the box around the center with half the area of the image, and the most frequent class of training",
    tasks=("localize_from_labels",),
    fit=majority_class.class_counts,
    predict=predict,
)
