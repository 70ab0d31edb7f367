"""The classes of a TFDS data set: their names, and the numbers of a chosen subset."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imgloc.data.prepared.fields import Features, Fields
from imgloc.errors import UserError, unknown
from imgloc.types import IntArray


def class_names(features: Features, fields: Fields, metadata: Mapping[str, Any] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the labels in the records, and their names in plain words, which are the same if the data set has no other."""
    if fields.one_class:
        return (fields.one_class,), (fields.one_class,)
    feature = features[fields.labels or fields.label]
    ids = tuple(getattr(feature, "feature", feature).names)
    names = tuple((metadata or {}).get("class_names", ids))
    return ids, names if len(names) == len(ids) else ids


def class_numbers(name: str, classes: Sequence[str], ids: tuple[str, ...], names: tuple[str, ...]) -> tuple[IntArray, tuple[str, ...]]:
    """For each class of the data set its number among `classes` or -1, and the names of the chosen classes; all classes if empty."""
    if isinstance(classes, str):
        classes = (classes,)
    numbers = np.full(len(ids), -1, np.int32)
    for number, chosen in enumerate(classes):
        if chosen not in ids and chosen not in names:
            similar = difflib.get_close_matches(chosen, names, n=5, cutoff=0.4) or names[:5]
            raise unknown(f"class of {name}", chosen, names if len(names) <= 20 else similar)
        index = ids.index(chosen) if chosen in ids else names.index(chosen)
        if numbers[index] >= 0:
            raise UserError(f"data.options.classes contains '{chosen}' twice")
        numbers[index] = number
    if not classes:
        return np.arange(len(ids), dtype=np.int32), names
    return numbers, tuple(names[int(np.flatnonzero(numbers == number)[0])] for number in range(len(classes)))
