"""Aggregates of the scores of several runs on several tasks that a failed run does not dominate (Agarwal et al., 2021, arXiv:2108.13264).

Scores are [k, t] of k runs and t tasks, such as data sets; those of one task are [k, 1]. Bootstrap samples draw runs with replacement
for each task separately, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imgloc.evaluation.statistics import Interval
from imgloc.types import FloatArray


def interquartile_mean(score_xkxt: FloatArray) -> FloatArray:
    """Returns the mean [...] of scores [..., k, t] without the lowest and the highest quarter of all k * t, rounded down."""
    score_xm = np.sort(score_xkxt.reshape(*score_xkxt.shape[:-2], -1), axis=-1)
    cut = score_xm.shape[-1] // 4
    return np.asarray(score_xm[..., cut : score_xm.shape[-1] - cut].mean(axis=-1))


def performance_profile(score_xkxt: FloatArray, thresholds_s: FloatArray) -> FloatArray:
    """Returns the share [..., s] of the scores [..., k, t] that are above each threshold."""
    return np.stack([(score_xkxt > threshold).mean(axis=(-2, -1)) for threshold in thresholds_s], axis=-1)


def drawn_scores(score_kxt: FloatArray, *, samples: int, seed: int) -> FloatArray:
    """Returns [r, k, t]: scores whose runs are drawn with replacement, for each task by itself."""
    runs, tasks = score_kxt.shape
    index_rxkxt = np.random.default_rng(seed).integers(runs, size=(samples, runs, tasks))
    return score_kxt[index_rxkxt, np.arange(tasks)]


def aggregate_interval(
    score_kxt: FloatArray, aggregate: Callable[[FloatArray], FloatArray], *, samples: int, seed: int = 0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns an aggregate of scores and both ends of its 95 % percentile interval over runs; each [...] as the aggregate is.

    With fewer than 10 runs the interval is too narrow to be used as a test.
    """
    low, high = np.percentile(aggregate(drawn_scores(score_kxt, samples=samples, seed=seed)), [2.5, 97.5], axis=0)
    return aggregate(score_kxt), low, high


def interquartile_interval(score_k: FloatArray, *, samples: int) -> Interval:
    """Returns the interquartile mean of the scores of runs on one task, with its 95 % interval."""
    value, low, high = aggregate_interval(score_k[:, None], interquartile_mean, samples=samples)
    return Interval(float(value), float(low), float(high), len(score_k))
