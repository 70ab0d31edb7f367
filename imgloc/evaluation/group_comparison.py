"""Groups of runs that were scored on the same examples: each metric of each group, and how the later groups differ from the first.

A statement may be about other images (`images`: these very models), about other seeds (`seeds`: this very test set) or about both
(`both`: the method). Each has its own interval and test.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from imgloc.errors import UserError, unknown
from imgloc.evaluation import scoring
from imgloc.evaluation.aggregates import interquartile_interval
from imgloc.evaluation.paired import aligned
from imgloc.evaluation.permutation import holm, p_value, swaps
from imgloc.evaluation.power import Needed, needed, smallest_difference
from imgloc.evaluation.statistics import BootstrapValues, Interval, bootstrap_weights, percentile_interval, t_interval
from imgloc.evaluation.variances import (
    ALPHA,
    Estimate,
    RunValues,
    difference_over_both,
    difference_over_seeds,
    level,
    run_values,
    seeds_vary,
    variance_over_images,
)
from imgloc.interfaces import Task
from imgloc.types import FloatArray, Row

OVER = ("images", "seeds", "both")
PERMUTATION_SEED = 1
NOT_SHOWN = "no difference shown"
WITHOUT_TEST = "seeds do not vary"  # so that their variance cannot be estimated
Runs = Sequence[Sequence[Row]]  # rows of the same examples, one sequence for each run
Values = Mapping[str, BootstrapValues]


@dataclass(frozen=True)
class Level:
    """A metric of a group of runs. `intervals` has those over images, seeds and both.

    A single run has that over images alone, and equal runs have none over seeds.
    """

    values: tuple[float, ...]  # of the runs
    intervals: Mapping[str, Interval]
    interquartile_mean: Interval | None  # of the runs; None for a single one

    @property
    def mean(self) -> float:
        """The mean of the runs."""
        return self.intervals["images"].mean


class DifferenceTest(NamedTuple):
    """The 95 % interval of a difference, its p value, and the p value that is corrected for all tests of a comparison (Holm)."""

    low: float
    high: float
    p: float
    p_corrected: float
    smallest: float  # the smallest difference that is found with a probability of 0.8


@dataclass(frozen=True)
class GroupDifference:
    """A metric of a later group minus that of the first one.

    `tests` are over images, seeds and both. The latter two require two runs in each group, and different values in one of the groups.
    """

    value: float
    tests: Mapping[str, DifferenceTest]
    verdict: str  # better, worse, no difference shown, or seeds do not vary
    needed: Needed | None


@dataclass(frozen=True)
class GroupComparison:
    """Each metric of each group, and the differences of the later groups from the first one: by metric, then by group."""

    over: str  # what the verdicts are about
    runs: Mapping[str, int]
    images: int
    levels: Mapping[str, Mapping[str, Level]]
    differences: Mapping[str, Mapping[str, GroupDifference]]


def compare_groups(
    groups: Mapping[str, Runs],
    classes: Sequence[str],
    task: Task,
    metrics: Sequence[str] = (),
    *,
    over: str = "",
    samples: int = 2000,
    difference: float | None = None,
) -> GroupComparison:
    """Compare groups of runs of one task by their rows.

    `metrics` are keys, by default the headline metrics of the task that all runs have. `over` is by default `both` where each group has
    two runs or more, else `images`. `samples` is the number of samples of the bootstrap and of permutations. `difference` is the size
    for which the needed numbers of seeds and images are computed. Raises UserError for rows of different examples, for a metric that
    not all runs have, and for a group of one run where seeds are asked for.
    """
    counts = {name: len(runs) for name, runs in groups.items()}
    over = _checked_over(over, counts)
    reference = next(iter(groups.values()))[0]
    in_order = {name: [aligned(reference, rows) for rows in runs] for name, runs in groups.items()}
    masks = {"": np.ones(len(reference), np.bool_)}
    weights = bootstrap_weights([row["group"] for row in reference], samples=samples, seed=scoring.BOOTSTRAP_SEED)
    found: dict[str, list[Values]] = {
        name: [dict(scoring.weighted_values(rows, classes, task.metrics, masks, *weights)) for rows in runs]
        for name, runs in in_order.items()
    }
    keys = _common_metrics(found, task, metrics)
    drawn = weights[0].shape[1]
    values = {key: {name: run_values([run[key] for run in runs], drawn) for name, runs in found.items()} for key in keys}
    levels = {key: {name: _level(values[key][name], [run[key] for run in runs], key, task) for name, runs in found.items()} for key in keys}
    first, *others = groups
    differences: dict[tuple[str, str], GroupDifference] = {}
    for name in others:
        permuted = _permuted_differences(in_order[first], in_order[name], classes, task, samples)
        for key in keys:
            pair = values[key][first], values[key][name]
            p = p_value(_difference_of_means(*pair), permuted[key], exact=2**drawn <= samples)
            differences[key, name] = _difference(*pair, p, levels[key][first].intervals["images"].n, over, difference)
    judged = _corrected(differences, over, task)
    return GroupComparison(over, counts, len(reference), levels, {key: {name: judged[key, name] for name in others} for key in keys})


def _checked_over(over: str, counts: Mapping[str, int]) -> str:
    """What verdicts are about. Raises UserError where a group has too few runs for it."""
    if over not in ("", *OVER):
        raise unknown("value of over", over, OVER)
    single = [name for name, count in counts.items() if count < 2]
    if over in ("seeds", "both") and single:
        raise UserError(
            f"an interval over seeds needs at least 2 runs in each group, '{single[0]}' has 1; train another seed, or use --over images"
        )
    return over or ("images" if single else "both")


def _common_metrics(found: Mapping[str, Sequence[Values]], task: Task, metrics: Sequence[str]) -> list[str]:
    """The metrics to compare. Raises UserError for one that not all runs have."""
    every = [(name, run) for name, runs in found.items() for run in runs]
    common = scoring.in_order(set.intersection(*(set(run) for _, run in every)), task)
    for key in metrics:
        lacking = [name for name, run in every if key not in run]
        if len(lacking) == len(every):
            raise unknown("metric", key, common)
        if lacking:
            raise UserError(f"metric '{key}' is not in every run: '{lacking[0]}' lacks it; all have: {', '.join(common)}")
    keys = list(dict.fromkeys(metrics)) or [key for key in task.headline_metrics if key in common]
    if not keys:
        raise UserError(
            f"not all runs have a headline metric of their task; name others with --metrics; all have: {', '.join(common) or 'none'}"
        )
    return keys


def _is_bounded(key: str, task: Task) -> bool:
    return scoring.metric_of(key, task.metrics).unit in ("share", "IoU")


def _level(values: RunValues, runs: Sequence[BootstrapValues], key: str, task: Task) -> Level:
    """A metric of the runs of one group, with its intervals. Those of a share end at 0 and 1."""
    whole = tuple(values.whole_k.tolist())
    of_mean = BootstrapValues(
        math.fsum(whole) / len(whole), values.value_kxr.mean(axis=0), runs[0].n, min(run.groups_of_mean for run in runs)
    )
    intervals = {"images": percentile_interval(of_mean)}
    if len(whole) > 1:
        if len(set(whole)) == 1 and whole[0] in (0.0, 1.0) and of_mean.groups_of_mean:  # neither seeds nor images vary: Wilson's
            intervals |= {"seeds": intervals["images"], "both": intervals["images"]}
        else:
            low, high = (0.0, 1.0) if _is_bounded(key, task) else (-math.inf, math.inf)
            over_seeds = {"seeds": t_interval(whole)} if seeds_vary(values) else {}
            for kind, each in (over_seeds | {"both": level(values, runs[0].n)}).items():
                intervals[kind] = dataclasses.replace(each, low=max(each.low, low), high=min(each.high, high))
    return Level(whole, intervals, interquartile_interval(values.whole_k, samples=values.value_kxr.shape[1]) if len(whole) > 1 else None)


def _permuted_differences(first: Runs, second: Runs, classes: Sequence[str], task: Task, samples: int) -> dict[str, FloatArray]:
    """The differences [r] of each metric where the predictions of whole groups of images change places between two groups of runs.

    Runs change places in pairs, the k-th with the k-th. Where the groups have different numbers of runs, each run is in equally many
    pairs. For a metric that is a mean this changes the signs of the differences of images, averaged over runs.
    """
    _, group_n = np.unique([row["group"] for row in first[0]], return_inverse=True)
    count = int(group_n.max()) + 1
    swapped_rxg = swaps(count, samples=samples, seed=PERMUTATION_SEED)
    sides = [np.hstack(side) for side in ((~swapped_rxg, swapped_rxg), (swapped_rxg, ~swapped_rxg))]
    both_n = np.concatenate([group_n, group_n + count])  # the groups of both sides
    totals: dict[str, FloatArray] = {}
    pairs = math.lcm(len(first), len(second))
    for i in range(pairs):
        rows = [*first[i % len(first)], *second[i % len(second)]]
        masks = {"": np.ones(len(rows), np.bool_)}
        a, b = (dict(scoring.weighted_values(rows, classes, task.metrics, masks, side_rxg, both_n)) for side_rxg in sides)
        for key in a:
            totals[key] = totals.get(key, 0.0) + (b[key].value_r - a[key].value_r) / pairs
    return totals


def _difference_of_means(first: RunValues, second: RunValues) -> float:
    return float(second.whole_k.mean() - first.whole_k.mean())


def _difference(first: RunValues, second: RunValues, p: float, images: int, over: str, size: float | None) -> GroupDifference:
    """The difference of two groups in one metric, not yet corrected for other tests; `p` is the p value over images."""
    value = _difference_of_means(first, second)
    value_r = second.value_kxr.mean(axis=0) - first.value_kxr.mean(axis=0)
    estimates = {"images": Estimate(value, variance_over_images(value_r, first.groups), max(first.groups - 1, 1))}
    if min(len(first.whole_k), len(second.whole_k)) > 1 and (seeds_vary(first) or seeds_vary(second)):
        estimates |= {"seeds": difference_over_seeds(first, second), "both": difference_over_both(first, second)}
    tests = {
        kind: DifferenceTest(value - each.half_width, value + each.half_width, each.p, each.p, smallest_difference(each))
        for kind, each in estimates.items()
    }
    paired = percentile_interval(BootstrapValues(value, value_r, images))
    tests["images"] = DifferenceTest(paired.low, paired.high, p, p, tests["images"].smallest)
    error = estimates.get(over)
    return GroupDifference(value, tests, NOT_SHOWN, needed(size, error, first, second, images, over) if size and error else None)


def _corrected(differences: Mapping[tuple[str, str], GroupDifference], over: str, task: Task) -> dict[tuple[str, str], GroupDifference]:
    """Differences whose p values are corrected for all tests of one kind, with their verdicts."""
    tests: dict[tuple[str, str], dict[str, DifferenceTest]] = {place: {} for place in differences}
    for kind in OVER:
        places = [place for place, each in differences.items() if kind in each.tests]
        for place, p in zip(places, holm([differences[place].tests[kind].p for place in places]), strict=True):
            tests[place][kind] = differences[place].tests[kind]._replace(p_corrected=p)
    judged = {}
    for place, each in differences.items():
        gain = each.value * scoring.metric_of(place[0], task.metrics).sign
        if over not in each.tests:
            verdict = WITHOUT_TEST
        else:
            verdict = NOT_SHOWN if tests[place][over].p_corrected >= ALPHA else "better" if gain > 0 else "worse"
        judged[place] = dataclasses.replace(each, tests=tests[place], verdict=verdict)
    return judged
