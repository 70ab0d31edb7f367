"""Columns that compare arms: the choice of one on validation, differences of paired seeds, and the seeds that a difference needs."""

from __future__ import annotations

import fnmatch
import math
import statistics
from collections.abc import Sequence

from imgloc.evaluation.power import MOST, power, smallest_count
from imgloc.evaluation.statistics import t_interval
from imgloc.evaluation.variances import Estimate
from imgloc.experiments.columns import average, done, over_seeds, values_of
from imgloc.experiments.declared import Column, Form, Json, Runs

SMALLEST = 2  # seeds of a group whose deviation can be estimated


def on_validation(runs: Runs) -> float:
    """Return the best value on validation of the first metric, averaged over finished runs; -inf where there is none."""
    best = [max(curve) for run in done(runs) if (curve := [value for _, value, *_ in run["validation"] if value is not None])]
    return average(best) if best else -math.inf


def chosen(results: Json, pattern: str) -> str:
    """Return the arm that is best on validation of those whose names match a pattern, the first of equal ones; "" without runs."""
    runs = {name: of_arm for name, of_arm in results.get("runs", {}).items() if fnmatch.fnmatchcase(name, pattern) and done(of_arm)}
    return max(runs, key=lambda name: on_validation(runs[name]), default="")


def choice(title: str) -> Column:
    """Return a column with what {} in the name of the row's arm, which stands for several, is in the one that validation chooses."""

    def text(results: Json, name: str, _runs: Runs) -> str:
        before, _, after = name.partition("{}")
        return chosen(results, name.replace("{}", "*")).removeprefix(before).removesuffix(after)

    return Column(title, text, arm="{}")


def of_chosen(key: str, title: str, form: Form | None = None, split: str = "test") -> Column:
    """Return a column with a metric of the arm that validation chooses, where {} in the name of the row's arm stands for several."""
    column, shown = Column(title, metric=key, split=split), form or over_seeds()

    def text(results: Json, name: str, _: Runs) -> str:
        return shown(values_of(results.get("runs", {}).get(chosen(results, name.replace("{}", "*")), []), column))

    return Column(title, text, arm="{}")


def validation(title: str, digits: int = 1) -> Column:
    """Return a column with the value of `on_validation` in per cent."""
    return Column(title, lambda _results, _name, runs: f"{100 * on_validation(runs):.{digits}f}" if done(runs) else "")


def against(control: str, key: str, title: str, *, split: str = "test", digits: int = 1) -> Column:
    """Return a column with the difference of a metric from that of the arm `control` in points, and its 95 % t interval.

    The differences are those of runs with equal seeds. The cell is empty for the control and with fewer than two pairs.
    """
    column = Column(title, metric=key, split=split)

    def text(results: Json, name: str, runs: Runs) -> str:
        before, now = _by_seed(results.get("runs", {}).get(control, []), column), _by_seed(runs, column)
        pairs = [(now[seed], before[seed]) for seed in now if seed in before]
        if name == control or len(pairs) < SMALLEST:
            return ""
        found = t_interval([100 * (ours - theirs) for ours, theirs in pairs])
        return f"{found.mean:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"

    return Column(title, text)


def seeds_needed(key: str, difference: float, title: str, *, split: str = "test") -> Column:
    """Return a column with the seeds that each of two arms needs, so that a t test finds a difference with probability 0.8.

    Both arms have the deviation over seeds of the row's runs. In brackets are the numbers with the ends of its 95 % interval.
    """
    column = Column(title, metric=key, split=split)

    def text(_: Json, __: str, runs: Runs) -> str:
        values = [value["mean"] for value in values_of(runs, column)]
        if len(values) < SMALLEST:
            return ""
        counts = [seeds_of(difference, deviation) for deviation in deviations(values)]
        low, estimate, high = (f"{count:,}" if count else f"over {MOST:,}" for count in counts)
        return f"{estimate} [{low}, {high}]"

    return Column(title, text)


def deviations(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the standard deviation of independent normal values between the ends of its 95 % interval, by the chi-squared distribution."""
    from scipy import stats

    estimate, degrees = statistics.stdev(values), len(values) - 1
    low, high = (estimate * math.sqrt(degrees / float(stats.chi2.ppf(share, degrees))) for share in (0.975, 0.025))
    return low, estimate, high


def seeds_of(difference: float, deviation: float) -> int | None:
    """Return the number of seeds in each of two groups with which a t test finds a difference; None above a million.

    `deviation` is that over the seeds of a group. The probability of finding the difference is that of `imgloc.evaluation.power`.
    """
    return smallest_count(lambda k: power(difference, Estimate(0.0, 2 * deviation**2 / k, 2 * (k - 1))), SMALLEST)


def _by_seed(runs: Runs, column: Column) -> dict[int, float]:
    return {run["seed"]: value["mean"] for run in runs for value in values_of([run], column)}
