"""From rows to numbers: every metric whose columns are there, with intervals, whole and in slices."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from imgloc.config.registry import declared, names
from imgloc.errors import UserError
from imgloc.evaluation.statistics import Interval, bootstrap_weights, interval_of_sums
from imgloc.interfaces import Metric, MetricFamily, Slicing, Task
from imgloc.types import FloatArray, Row

BOOTSTRAP_SEED = 0


@functools.cache
def known_metrics() -> dict[str, Metric]:
    """Every metric by its key. Raises UserError if two files declare one."""
    every = [metric for family in _all_families() for metric in family.metrics]
    for key, count in collections.Counter(metric.key for metric in every).items():
        if count > 1:
            raise UserError(f"metric '{key}' is declared by two files of imgloc/evaluation/metrics; rename one of them")
    return {metric.key: metric for metric in every}


def metric_of(key: str) -> Metric:
    """The metric of a key, of a slice too; a metric that no file declares (of another version) has the key as its title."""
    whole = key.split("/", maxsplit=1)[0]
    return known_metrics().get(whole) or Metric(whole, whole, "", unit="")


def in_order(keys: Iterable[str], task: Task) -> list[str]:
    """Keys of whole metrics in the order of a table: families with a headline of the task first, each as its file declares it."""
    families = [[metric.key for metric in family.metrics] for family in _all_families()]
    headlines = task.headline_metrics
    families.sort(key=lambda own: min((headlines.index(key) for key in own if key in headlines), default=len(headlines)))
    order = [key for own in families for key in own]
    whole = {key for key in keys if "/" not in key}
    return sorted(whole, key=lambda key: (order.index(key) if key in order else len(order), key))


def _all_families() -> list[MetricFamily]:
    return [declared("evaluation.metrics", name, MetricFamily) for name in names("evaluation.metrics")]


def _families(rows: Sequence[Row]) -> list[MetricFamily]:
    """The metric files whose columns these rows have."""
    return [family for family in _all_families() if all(column in rows[0] for column in family.columns)]


def statistics(rows: Sequence[Row]) -> dict[str, FloatArray]:
    """[n, s] of every metric that applies to some row; of a metric that is a mean, its values and 1, or 0 and 0 where they are NaN."""
    statistics_of_key: dict[str, FloatArray] = {}
    finite_n = np.array([row.get("finite", True) for row in rows], np.bool_)
    for family in _families(rows):
        if family.per_row is not None:
            for key, value_n in family.per_row(rows).items():
                applies_n = ~np.isnan(value_n)
                counted_n = np.where(finite_n, value_n, metric_of(key).worst or 0.0)
                statistics_of_key[key] = np.stack([np.where(applies_n, counted_n, 0.0), applies_n.astype(np.float64)], axis=-1)
        if family.statistics is not None:
            statistics_of_key |= family.statistics(rows)
    return {key: values for key, values in statistics_of_key.items() if not np.isnan(metric_of(key).value(values.sum(axis=0)))}


def means(rows: Sequence[Row]) -> dict[str, float]:
    """Every metric over all rows, without intervals; metrics that apply to no row are left out."""
    return {key: float(metric_of(key).value(values.sum(axis=0))) for key, values in statistics(rows).items()}


def intervals(rows: Sequence[Row], classes: Sequence[str], task: Task, *, samples: int, sliced: bool = True) -> dict[str, Interval]:
    """Every metric with its 95 % interval over groups: whole under its key, in slices as METRIC/SLICING/PART.

    `samples` is the number of bootstrap samples. Without `sliced`, whole metrics alone.
    """
    if not rows:
        return {}
    weights_rxg, group_n = bootstrap_weights([row["group"] for row in rows], samples=samples, seed=BOOTSTRAP_SEED)
    masks = {"": np.ones(len(rows), np.bool_)}
    for slicing in slicings(task, rows[0]) if sliced else ():
        masks |= {f"/{slicing.key}/{part}": mask for part, mask in slicing.parts(rows, classes).items()}
    computed = {
        key + part: interval_of_sums(values[mask], weights_rxg, group_n[mask], metric_of(key).value)
        for key, values in statistics(rows).items()
        for part, mask in masks.items()
    }
    return {key: interval for key, interval in computed.items() if interval is not None}


def slicings(task: Task, row: Row) -> list[Slicing]:
    """The slicings of a task whose columns a row has."""
    every = [declared("evaluation.slicings", name, Slicing) for name in task.slicings]
    return [slicing for slicing in every if all(column in row for column in slicing.columns)]


def as_json(intervals: Mapping[str, Interval]) -> dict[str, dict[str, Any]]:
    """`{metric: {"mean":, "low":, "high":, "n":}}`."""
    return {key: dataclasses.asdict(interval) for key, interval in intervals.items()}


def gallery_rows(rows: Sequence[Row], task: Task, count: int) -> dict[str, list[Row]]:
    """The `count` best, median and worst rows by the gallery score of the task; ties keep the order of the rows.

    Of few rows, a third each: no row is shown twice.
    """
    count = min(count, -(-len(rows) // 3))
    score_n = np.asarray(task.gallery_score(rows), np.float64)
    order = np.argsort(-score_n, kind="stable").tolist()
    middle = max(0, len(order) // 2 - count // 2)
    best, worst = order[:count], [i for i in order[::-1][:count] if i not in order[:count]]
    picked = {"best": best, "median": [i for i in order[middle : middle + count] if i not in (*best, *worst)], "worst": worst}
    return {name: [rows[i] for i in positions] for name, positions in picked.items()}
