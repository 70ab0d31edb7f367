"""From rows to numbers: every metric whose columns are there, with intervals, whole and in slices."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from imgloc.config.registry import declared, names
from imgloc.errors import UserError, reason
from imgloc.evaluation.slicings.classes import part_names
from imgloc.evaluation.statistics import BootstrapValues, Interval, bootstrap_weights, percentile_interval, values_of_sums
from imgloc.interfaces import Metric, MetricFamily, Slicing, Task, Weighted
from imgloc.types import BoolArray, FloatArray, IntArray, Row

BOOTSTRAP_SEED = 0
MAX_WEIGHTS = 2**18  # of rows and samples that a thread computes at a time
RESERVED = frozenset({"step", "kind", "images"})  # fields of metrics.jsonl
T = TypeVar("T")


@functools.cache
def known_metrics(modules: tuple[str, ...] = ()) -> dict[str, Metric]:
    """Every metric by its key: those of imgloc, then those of further modules. Raises UserError if two files declare one."""
    every = [metric for family in _families_of(tuple(modules)) for metric in family.metrics]
    for key in (metric.key for metric in every):
        if key in RESERVED or "/" in key:
            raise UserError(f"metric '{key}' has the name of another field of metrics.jsonl, or of a slice; rename it")
    for key, count in collections.Counter(metric.key for metric in every).items():
        if count > 1:
            raise UserError(f"metric '{key}' is declared by two files of imgloc/evaluation/metrics or eval.metrics; rename one of them")
    return {metric.key: metric for metric in every}


def metric_of(key: str, modules: Sequence[str] = ()) -> Metric:
    """The metric of a key, of a slice too; a metric that no file declares (of another version) has the key as its title."""
    whole = key.split("/", maxsplit=1)[0]
    return known_metrics(tuple(modules)).get(whole) or Metric(whole, whole, "", unit="")


def in_order(keys: Iterable[str], task: Task | None) -> list[str]:
    """Keys of whole metrics in the order of a table: families with a headline of the task first, each as its file declares it."""
    families = [[metric.key for metric in family.metrics] for family in _families_of(tuple(task.metrics) if task else ())]
    headlines = task.headline_metrics if task else ()
    families.sort(key=lambda own: min((headlines.index(key) for key in own if key in headlines), default=len(headlines)))
    order = [key for own in families for key in own]
    whole = {key for key in keys if "/" not in key}
    return sorted(whole, key=lambda key: (order.index(key) if key in order else len(order), key))


@functools.cache
def _families_of(modules: tuple[str, ...]) -> list[MetricFamily]:
    """What the files of imgloc/evaluation/metrics declare, and further modules by their dotted names."""
    return [declared("evaluation.metrics", name, MetricFamily) for name in (*names("evaluation.metrics"), *modules)]


def _families(rows: Sequence[Row], modules: Sequence[str]) -> list[MetricFamily]:
    """The metric files whose columns these rows have."""
    return [family for family in _families_of(tuple(modules)) if all(column in rows[0] for column in family.columns)]


def check_columns(row: Row, modules: Sequence[str]) -> None:
    """Raises UserError where a module of the user's own reads a column that rows do not have."""
    for module in modules:
        missing = [name for name in declared("evaluation.metrics", module, MetricFamily).columns if name not in row]
        if missing:
            raise UserError(f"metric '{module}' reads the column '{missing[0]}', which rows do not have; possible: {', '.join(row)}")


def _result(family: MetricFamily, function: Callable[[], T]) -> T:
    """What a function of a metric file returns. Raises UserError where it fails."""
    try:
        return function()
    except UserError:
        raise
    except Exception as error:  # a module of the user's own may raise anything
        raise UserError(f"metric '{family.metrics[0].key}' fails: {reason(error)}") from error


def _arrays(family: MetricFamily, function: Callable[[T], Mapping[str, FloatArray]], argument: T) -> Mapping[str, FloatArray]:
    """The arrays that a function of a metric file returns. Raises UserError where it fails, and for a metric that is not declared."""
    keys = [metric.key for metric in family.metrics]
    values = _result(family, lambda: {str(key): np.asarray(value, np.float64) for key, value in function(argument).items()})
    for key in values:
        if (key.partition("/class/")[0] if family.weighted else key) not in keys:
            raise UserError(f"metric '{key}' is computed but not declared; declared by its file: {', '.join(keys)}")
    return values


def _of_rows(family: MetricFamily, rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """The values or statistics of rows. Raises UserError for anything but an array for each declared metric, with n rows."""
    function = family.per_row or family.statistics
    assert function is not None
    values = _arrays(family, function, rows)
    units = {metric.key: metric.unit for metric in family.metrics}
    dimensions = 1 if family.per_row else 2
    for key, value in values.items():
        if value.ndim != dimensions or len(value) != len(rows):
            raise UserError(f"metric '{key}' must have an array of {dimensions} dimensions and {len(rows)} rows, got {value.shape}")
        low, high = (0.0, 1.0) if dimensions == 1 and units[key] in ("share", "IoU") else (-np.inf, np.inf)
        outside = value[np.isinf(value) | (value < low) | (value > high)]
        if len(outside):
            raise UserError(f"metric '{key}' must have finite values{' from 0 to 1' if high == 1 else ''}, got {outside[0]}")
    return values


def _of_weights(family: MetricFamily, function: Callable[[Sequence[Row]], Weighted], rows: Sequence[Row]) -> Weighted:
    """The metrics of rows as functions of weights, which raise UserError for anything but a value for each sample."""
    own = _result(family, lambda: Weighted(*function(rows)))
    counts = _result(family, lambda: dict(own.counts))

    def values(weights_rxn: FloatArray) -> Mapping[str, FloatArray]:
        found = _arrays(family, own.values, weights_rxn)
        if one_sided := sorted(found.keys() ^ counts.keys()):
            raise UserError(f"metric '{one_sided[0]}' must be in both the values and the counts of its file")
        for key, value_r in found.items():
            if value_r.shape != (len(weights_rxn),):
                raise UserError(f"metric '{key}' must have a value for each of {len(weights_rxn)} samples, got the shape {value_r.shape}")
            if np.isinf(value_r).any():
                raise UserError(f"metric '{key}' must have finite values, got {value_r[np.isinf(value_r)][0]}")
        return found

    return Weighted(values, counts)


def statistics(rows: Sequence[Row], modules: Sequence[str] = ()) -> dict[str, FloatArray]:
    """[n, s] of every metric that applies to some row; of a metric that is a mean, its values and 1, or 0 and 0 where they are NaN."""
    statistics_of_key: dict[str, FloatArray] = {}
    finite_n = np.array([row.get("finite", True) for row in rows], np.bool_)
    for family in _families(rows, modules):
        if family.weighted is not None:
            continue
        if family.per_row is not None:
            for key, value_n in _of_rows(family, rows).items():
                applies_n = ~np.isnan(value_n)
                counted_n = np.where(finite_n, value_n, metric_of(key, modules).worst or 0.0)
                statistics_of_key[key] = np.stack([np.where(applies_n, counted_n, 0.0), applies_n.astype(np.float64)], axis=-1)
        if family.statistics is not None:
            statistics_of_key |= _of_rows(family, rows)
    return {key: values for key, values in statistics_of_key.items() if not np.isnan(metric_of(key, modules).value(values.sum(axis=0)))}


def weighted(rows: Sequence[Row], modules: Sequence[str] = ()) -> list[Weighted]:
    """The metrics of each file that are not functions of sums. They raise UserError where they fail."""
    return [_of_weights(family, family.weighted, rows) for family in _families(rows, modules) if family.weighted is not None]


def means(rows: Sequence[Row], modules: Sequence[str] = ()) -> dict[str, float]:
    """Every metric over all rows, without intervals; metrics that apply to no row are left out."""
    found = {key: float(metric_of(key, modules).value(values.sum(axis=0))) for key, values in statistics(rows, modules).items()}
    for family in weighted(rows, modules):
        values = family.values(np.ones((1, len(rows))))
        found |= {key: float(value) for key, (value,) in values.items() if "/" not in key and not np.isnan(value)}
    return found


def intervals(rows: Sequence[Row], classes: Sequence[str], task: Task | None, *, samples: int, sliced: bool = True) -> dict[str, Interval]:
    """Every metric with its 95 % interval over groups: whole under its key, in slices as METRIC/SLICING/PART.

    `samples` is the number of bootstrap samples. Without `sliced`, whole metrics alone. Rows that no task has made are not divided,
    except that metrics which are computed for each class have METRIC/class/NAME.
    """
    if not rows:
        return {}
    masks = {"": np.ones(len(rows), np.bool_)}
    for slicing in slicings(task, rows[0]) if sliced and task else ():
        masks |= {f"/{slicing.key}/{part}": mask for part, mask in slicing.parts(rows, classes).items()}
    found = bootstrap_values(rows, classes, task.metrics if task else (), masks, samples=samples)
    return {key: percentile_interval(values) for key, values in found if sliced or "/" not in key}


def bootstrap_values(
    rows: Sequence[Row], classes: Sequence[str], modules: Sequence[str], masks: Mapping[str, BoolArray], *, samples: int
) -> Iterator[tuple[str, BootstrapValues]]:
    """Every metric that applies to some row, with its values in the samples of a bootstrap over groups; see `weighted_values`."""
    weights_rxg, group_n = bootstrap_weights([row["group"] for row in rows], samples=samples, seed=BOOTSTRAP_SEED)
    return weighted_values(rows, classes, modules, masks, weights_rxg, group_n)


def weighted_values(
    rows: Sequence[Row],
    classes: Sequence[str],
    modules: Sequence[str],
    masks: Mapping[str, BoolArray],
    weights_rxg: FloatArray | BoolArray,
    group_n: IntArray,
) -> Iterator[tuple[str, BootstrapValues]]:
    """Every metric that applies to some row, with its values under weights of the groups of rows.

    Each of the `masks` [n] selects rows; its name follows the keys of their metrics. Metrics that are computed for each class have
    METRIC/class/NAME besides, where the name is empty.
    """
    for key, statistics_nxs in statistics(rows, modules).items():
        metric = metric_of(key, modules)
        bounded = metric.unit in ("share", "IoU")
        for part, mask in masks.items():
            values = values_of_sums(statistics_nxs[mask], weights_rxg, group_n[mask], metric.value, bounded=bounded)
            if values is not None:
                yield key + part, values
    for part, mask in masks.items():
        for key, values in _values_of_weights(list(itertools.compress(rows, mask)), modules, weights_rxg, group_n[mask]):
            if part == "" or "/" not in key:
                yield with_class_name(key, classes) + part, values


def _values_of_weights(
    rows: Sequence[Row], modules: Sequence[str], weights_rxg: FloatArray | BoolArray, group_n: IntArray
) -> Iterator[tuple[str, BootstrapValues]]:
    """The metrics that are not functions of sums, of rows of the groups `group_n`; keys of classes have their labels."""
    for family in weighted(rows, modules):
        step = max(1, MAX_WEIGHTS // len(rows))
        weights = (np.asarray(weights_rxg[low : low + step], np.float64)[:, group_n] for low in range(0, len(weights_rxg), step))
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy computes without Python's lock
            chunks = list(threads.map(family.values, weights))
        for key, (whole,) in family.values(np.ones((1, len(rows)))).items():
            if not np.isnan(whole):
                yield key, BootstrapValues(float(whole), np.concatenate([chunk[key] for chunk in chunks]), family.counts[key])


def with_class_name(key: str, classes: Sequence[str]) -> str:
    """METRIC/class/NAME for METRIC/class/LABEL; other keys as they are."""
    metric, _, label = key.partition("/class/")
    return f"{metric}/class/{part_names(classes)[int(label)]}" if label.isdecimal() and int(label) < len(classes) else key


def slicings(task: Task, row: Row | None = None) -> list[Slicing]:
    """The slicings of a task; of a row, those whose columns it has."""
    every = [declared("evaluation.slicings", name, Slicing) for name in task.slicings]
    return [slicing for slicing in every if row is None or all(column in row for column in slicing.columns)]


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
