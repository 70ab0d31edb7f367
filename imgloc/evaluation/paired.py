"""Two sets of predictions of the same examples, and the intervals of their differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imgloc.errors import UserError
from imgloc.evaluation.scoring import bootstrap_values
from imgloc.evaluation.statistics import BootstrapValues, Interval, percentile_interval
from imgloc.interfaces import Task
from imgloc.types import Row


class Comparison(NamedTuple):
    """Every whole metric of two sets of rows, and the difference (second minus first) where both have it; those of classes too."""

    first: dict[str, Interval]
    second: dict[str, Interval]
    differences: dict[str, Interval]


def compare(first: Sequence[Row], second: Sequence[Row], classes: Sequence[str], task: Task | None, *, samples: int) -> Comparison:
    """The metrics of both with 95 % intervals, and their differences with paired ones (Efron and Tibshirani, 1993, chapter 8).

    Both are rows of the same examples, in any order. Each sample of the bootstrap draws the same groups for both, so that what the
    examples have in common cancels. The `n` of a difference is the smaller number of examples. Raises UserError for rows of
    different examples.
    """
    second = aligned(first, second)
    masks = {"": np.ones(len(first), np.bool_)}
    a, b = (dict(bootstrap_values(rows, classes, task.metrics if task else (), masks, samples=samples)) for rows in (first, second))
    differences = {
        key: BootstrapValues(b[key].whole - a[key].whole, b[key].value_r - a[key].value_r, min(a[key].n, b[key].n)) for key in a if key in b
    }
    return Comparison(*({key: percentile_interval(values) for key, values in each.items()} for each in (a, b, differences)))


def aligned(first: Sequence[Row], second: Sequence[Row]) -> list[Row]:
    """Returns the second rows in the order of the first ones. Raises UserError for rows of different examples."""
    by_id = {row["id"]: row for row in second}
    if len(by_id) != len(first) or not first:
        raise UserError(f"paired rows must be of the same examples, got {len(first)} and {len(by_id)} of them")
    for row in first:
        if by_id.get(row["id"], {}).get("group") != row["group"]:
            raise UserError(f"paired rows must be of the same examples in the same groups; '{row['id']}' is not")
    return [by_id[row["id"]] for row in first]
