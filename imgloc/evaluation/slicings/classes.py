"""Rows by the class of the image."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Slicing
from imgloc.types import BoolArray, Row


def parts(rows: Sequence[Row], classes: Sequence[str]) -> Mapping[str, BoolArray]:
    """A mask [n] for each class that occurs, by its name; classes of the same name are numbered."""
    label_n = np.array([row["label"] for row in rows])
    repeated = {name for name, count in collections.Counter(classes).items() if count > 1}
    names = [f"{name} #{k}" if name in repeated else name for k, name in enumerate(classes)]
    return {name: label_n == k for k, name in enumerate(names) if (label_n == k).any()}


SLICING = Slicing(
    key="class",
    title="By class",
    meaning="Images by their true class; n is the number of images.",
    parts=parts,
    columns=("label",),
    notes={},
)
