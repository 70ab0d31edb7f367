"""Which classes of a data set of TFDS are used, and by which names and numbers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from imgloc.data.prepared.fields import Fields
from imgloc.errors import UserError, unknown
from imgloc.types import IntArray


def class_names(features: dict[str, Any], fields: Fields, metadata: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that the records' labels have, and those that people use: the same where the data set says no other."""
    if fields.one_class:
        return (fields.one_class,), (fields.one_class,)
    feature = features[fields.labels or fields.label]
    ids = tuple(getattr(feature, "feature", feature).names)
    names = tuple((metadata or {}).get("class_names", ids))
    return ids, names if len(names) == len(ids) else ids


def numbered(name: str, classes: Sequence[str], ids: tuple[str, ...], names: tuple[str, ...]) -> tuple[IntArray, tuple[str, ...]]:
    """The number of each class of the data set, -1 where it is left out, and the names of ours."""
    if isinstance(classes, str):
        classes = (classes,)
    numbers = np.full(len(ids), -1, np.int32)
    for number, wanted in enumerate(classes):
        if wanted not in ids and wanted not in names:
            near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.4) or names[:5]
            raise unknown(f"class of {name}", wanted, names if len(names) <= 20 else near)
        old = ids.index(wanted) if wanted in ids else names.index(wanted)
        if numbers[old] >= 0:
            raise UserError(f"data.options.classes names '{wanted}' twice")
        numbers[old] = number
    if not classes:
        return np.arange(len(ids), dtype=np.int32), names
    return numbers, tuple(names[int(np.flatnonzero(numbers == number)[0])] for number in range(len(classes)))
