"""Two sets of predictions of the same examples, and the intervals of their differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imgloc.errors import UserError
from imgloc.evaluation.scoring import BOOTSTRAP_SEED, Drawn, drawn, metric_of, named, statistics
from imgloc.evaluation.statistics import Interval, bootstrap_weights, interval_of_sums, percentile_interval, resampled
from imgloc.interfaces import Task
from imgloc.types import Row


class Compared(NamedTuple):
    """Every whole metric of two sets of rows, and the second less the first where both have it; those of classes too."""

    first: dict[str, Interval]
    second: dict[str, Interval]
    differences: dict[str, Interval]


def compare(first: Sequence[Row], second: Sequence[Row], classes: Sequence[str], task: Task | None, *, samples: int) -> Compared:
    """The metrics of both with 95 % intervals, and their differences with paired ones (Efron and Tibshirani, 1993, chapter 8).

    Both are rows of the same examples, in any order. Each sample of the bootstrap draws the same groups for both, so that what the
    examples have in common cancels. The `n` of a difference is the smaller number of examples. Raises UserError for rows of
    different examples.
    """
    by_id = {row["id"]: row for row in second}
    if len(by_id) != len(first) or not first:
        raise UserError(f"paired rows must be of the same examples, got {len(first)} and {len(by_id)} of them")
    for row in first:
        if by_id.get(row["id"], {}).get("group") != row["group"]:
            raise UserError(f"paired rows must be of the same examples in the same groups; '{row['id']}' is not")
    modules = task.metrics if task else ()
    weights_rxg, group_n = bootstrap_weights([row["group"] for row in first], samples=samples, seed=BOOTSTRAP_SEED)
    intervals: list[dict[str, Interval]] = []
    values: list[dict[str, Drawn]] = []
    for rows in (first, [by_id[row["id"]] for row in first]):
        found = drawn(rows, modules, weights_rxg, group_n)
        intervals.append({key: percentile_interval(*each) for key, each in found.items()})
        for key, sums_nxs in statistics(rows, modules).items():
            metric = metric_of(key, modules)
            bounded = metric.unit in ("share", "IoU")
            interval = interval_of_sums(sums_nxs, weights_rxg, group_n, metric.value, bounded=bounded)
            if interval is not None:
                intervals[-1][key] = interval
                found[key] = Drawn(interval.mean, resampled(sums_nxs, weights_rxg, group_n, metric.value), interval.n)
        values.append(found)
    differences = {
        key: percentile_interval(b.whole - a.whole, np.asarray(b.value_r - a.value_r), min(a.n, b.n))
        for key, b in values[1].items()
        if (a := values[0].get(key)) is not None
    }
    return Compared(*({named(key, classes): interval for key, interval in each.items()} for each in (*intervals, differences)))
