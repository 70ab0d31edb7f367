"""Rows by what their data set adds to its examples, such as the weather or the camera (`types.Example.attributes`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Slicing
from imgloc.types import BoolArray, Row


def parts(rows: Sequence[Row], classes: Sequence[str]) -> Mapping[str, BoolArray]:
    """A mask [n] for each value of each attribute, called ATTRIBUTE=VALUE."""
    pairs = {(name, value) for row in rows for name, value in row.get("attributes", {}).items()}
    return {f"{name}={value}": np.array([row.get("attributes", {}).get(name) == value for row in rows]) for name, value in sorted(pairs)}


SLICING = Slicing(
    key="attribute",
    title="By attribute",
    meaning="Attributes are those that the data set gives its images.",
    parts=parts,
    notes={},
)
