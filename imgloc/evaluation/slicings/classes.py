"""Rows by the class of the image. Metrics of the objects of each class have the same names; see `imgloc.interfaces.Weighted`."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Slicing
from imgloc.types import BoolArray, Row


def parts(rows: Sequence[Row], classes: Sequence[str]) -> Mapping[str, BoolArray]:
    """A mask [n] for each class that occurs, by its name; classes of the same name are numbered."""
    label_n = np.array([row["label"] for row in rows])
    return {name: label_n == k for k, name in enumerate(part_names(classes)) if (label_n == k).any()}


def part_names(classes: Sequence[str]) -> list[str]:
    """The name of the part of each class; classes of the same name are numbered."""
    repeated = {name for name, count in collections.Counter(classes).items() if count > 1}
    return [f"{name} #{k}" if name in repeated else name for k, name in enumerate(classes)]


SLICING = Slicing(
    key="class",
    title="By class",
    meaning="Images by their true class, or the objects of each class; n is the number of images.",
    parts=parts,
    columns=("label",),
    notes={},
)
