"""Which keys of a sweep a metric depends on: the share of its variance between points that each key explains alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ncfdtr

from imgloc.types import FloatArray

MAX_LEVELS = 6  # numbers with more different values are described by a parabola
LEVEL = 0.95


@dataclass(frozen=True)
class Importance:
    """The share of the variance of a metric that one key explains, in [0, 1], with its 95 % interval."""

    key: str
    share: float
    low: float
    high: float
    parabola: bool  # over the ranks of its values; otherwise a mean for each value


def importances(values: Mapping[str, Sequence[object]], metric_n: FloatArray) -> list[Importance]:
    """Return the importance of each key whose values differ, the largest first; [] where the metric is the same everywhere.

    `values` has n values for each key. The share is the adjusted R² of a model of that key alone, which does not grow with the number
    of its values by chance (Ezekiel, 1930). The interval inverts the noncentral F distribution (Steiger, 2004, Psychological Methods
    9, 164 to 182): errors are taken as normal. Where two keys vary together, both get what they explain; interactions count for none.
    A key with as many values as points, which are not numbers, is left out: it explains everything.
    """
    found = []
    total = float(((metric_n - metric_n.mean()) ** 2).sum()) if len(metric_n) else 0.0
    if total <= 1e-24 * float((metric_n**2).sum()):
        return []
    for key, column in values.items():
        design, is_parabola = _design(column)
        parameters = design.shape[1] - 1
        left = len(metric_n) - 1 - parameters
        if parameters and left > 0:
            fitted = design @ np.linalg.lstsq(design, metric_n, rcond=None)[0]
            residual = float(((metric_n - fitted) ** 2).sum())
            found.append(Importance(key, *_share(1 - residual / total, parameters, left), is_parabola))
    return sorted(found, key=lambda importance: -importance.share)


def _design(column: Sequence[object]) -> tuple[FloatArray, bool]:
    """Return the columns of a linear model of one key, the first of them constant, and whether it is a parabola."""
    names = [repr(value) for value in column]
    levels = list(dict.fromkeys(names))
    numbers = [float(value) for value in column if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(column) and len(levels) > MAX_LEVELS:
        place = np.searchsorted(np.unique(numbers), numbers) / (len(levels) - 1) - 0.5
        return np.stack([np.ones_like(place), place, place**2], axis=1), True
    is_level = np.array([[name == level for level in levels[1:]] for name in names], np.float64).reshape(len(names), -1)
    return np.concatenate([np.ones((len(names), 1)), is_level], axis=1), False


def _share(explained: float, parameters: int, left: int) -> tuple[float, float, float]:
    """Return the adjusted share of variance and its interval, from the unadjusted one and the degrees of freedom."""
    if explained > 1 - 1e-12:
        return 1.0, 1.0, 1.0
    count = parameters + left + 1
    ratio = max(0.0, explained) / parameters / ((1 - explained) / left)
    bounds = [_noncentrality(ratio, parameters, left, (1 + side * LEVEL) / 2) for side in (1, -1)]
    low, high = (bound / (bound + count) for bound in bounds)
    share = 1 - (1 - explained) * (count - 1) / left
    return float(np.clip(share, low, high)), low, high


def _noncentrality(ratio: float, parameters: int, left: int, probability: float) -> float:
    """Return the noncentrality for which an F ratio is at most `ratio` with this probability; 0 where no value is large enough."""
    excess: Callable[[float], float] = lambda value: float(ncfdtr(parameters, left, value, ratio)) - probability  # noqa: E731
    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high))
