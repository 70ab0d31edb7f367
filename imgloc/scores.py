"""From saved rows to numbers: every metric whose columns are there, with intervals, whole and in slices."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from imgloc import boxes
from imgloc.names import find, names
from imgloc.rows import best_median_worst
from imgloc.stats import Interval, bootstrap_weights, mean_intervals, overall_interval
from imgloc.types import BoolArray, FloatArray, Row

SIZES = {"small": (0.0, 0.25), "medium": (0.25, 0.5), "large": (0.5, 1.01)}  # sqrt(area) of the largest true box
BOOTSTRAP_SEED = 0


def _families(rows: Sequence[Row]) -> list[ModuleType]:
    """The metric files whose columns these rows have."""
    found = [find("metrics", name) for name in names("metrics")]
    return [module for module in found if all(column in rows[0] for column in module.COLUMNS)]


def per_row(rows: Sequence[Row]) -> dict[str, FloatArray]:
    """[n] values of every per-example metric; NaN where one does not apply."""
    values: dict[str, FloatArray] = {}
    for module in _families(rows):
        if hasattr(module, "per_row"):
            values |= module.per_row(rows)
    return values


def means(rows: Sequence[Row]) -> dict[str, float]:
    """Every metric's mean over the rows, without intervals; metrics that apply to no row are left out."""
    found = {name: float(np.nanmean(v)) for name, v in per_row(rows).items() if not np.isnan(v).all()}
    for module in _families(rows):
        if hasattr(module, "overall"):
            found |= {name: float(module.overall(rows, name, np.ones(len(rows)))) for name in module.OVERALL}
    return {name: value for name, value in found.items() if not np.isnan(value)}


def slices(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, BoolArray]:
    """Masks [n] of `class/NAME` for each class that occurs and of `size/small|medium|large`."""
    label_n = np.array([row["label"] for row in rows])
    twice = {name for name, count in collections.Counter(classes).items() if count > 1}
    keys = [f"{name} #{k}" if name in twice else name for k, name in enumerate(classes)]
    found = {f"class/{key}": label_n == k for k, key in enumerate(keys) if (label_n == k).any()}
    side_n = np.array([_side(row) for row in rows])
    for name, (low, high) in SIZES.items():
        mask = (side_n >= low) & (side_n < high)
        if mask.any():
            found[f"size/{name}"] = mask
    return found


def _side(row: Row) -> float:
    return float(np.sqrt(boxes.area(np.asarray(row["boxes"][0])))) if row["boxes"] else float("nan")


def intervals(rows: Sequence[Row], classes: Sequence[str], *, resamples: int) -> dict[str, Interval]:
    """Every metric with its 95 % interval over groups: whole under its name, in slices as `NAME/class/3`."""
    if not rows:
        return {}
    weights, group_n = bootstrap_weights([row["group"] for row in rows], resamples=resamples, seed=BOOTSTRAP_SEED)
    masks = slices(rows, classes)
    found: dict[str, Interval | None] = {}
    for name, values in per_row(rows).items():
        columns = [values, *(np.where(mask, values, np.nan) for mask in masks.values())]
        keys = [name, *(f"{name}/{part}" for part in masks)]
        found |= zip(keys, mean_intervals(np.stack(columns, axis=1), weights, group_n), strict=True)
    for module in _families(rows):
        for name in getattr(module, "OVERALL", ()):
            found[name] = overall_interval(functools.partial(module.overall, rows, name), weights, group_n)
    return {name: interval for name, interval in found.items() if interval is not None}


def to_json(found: dict[str, Interval]) -> dict[str, dict[str, Any]]:
    """`{metric: {"mean":, "low":, "high":, "n":}}`."""
    return {name: dataclasses.asdict(interval) for name, interval in found.items()}


def gallery_rows(rows: Sequence[Row], count: int) -> dict[str, list[Row]]:
    """The `count` best, median and worst rows: by IoU where the class is right, by less than that where it is not.

    Rows without boxes are judged by the score of their likeliest class, right or wrong.
    """
    values = per_row(rows)
    right_n = values["top1"] if "top1" in values else np.zeros(len(rows))
    strength_n = np.array([row["top_scores"][0] for row in rows]) if "top_scores" in rows[0] else np.zeros(len(rows))
    quality_n = np.nan_to_num(values["mean_iou"]) if "mean_iou" in values else np.where(right_n > 0, strength_n, 1 - strength_n)
    picked = best_median_worst([float(v) for v in quality_n + right_n - 1], count)
    return {name: [rows[i] for i in positions] for name, positions in picked.items()}
