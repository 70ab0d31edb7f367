"""Differences between the runs of a report that were scored on the same examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgloc.evaluation.paired import compare
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Metric
from imgloc.reporting.load import RunReport
from imgloc.reporting.tables import Cell


def differences(reports: Sequence[RunReport]) -> dict[str, Mapping[str, Interval]]:
    """Returns each later run minus the first one, by its label: every metric that both have, with a paired 95 % interval.

    Runs whose examples are not those of the first run are left out, as are runs of another task.
    """
    first, *others = reports
    examples = _examples(first)
    samples = max(report.config.eval.bootstrap_samples for report in reports)
    return {
        report.label: compare(first.model.rows, report.model.rows, first.classes, first.task, samples=samples).differences
        for report in others
        if report.config.task == first.config.task and _examples(report) == examples
    }


def _examples(report: RunReport) -> set[tuple[str, str]]:
    return {(row["id"], row["group"]) for row in report.model.rows}


def signed_cell(metric: Metric, interval: Interval | None) -> Cell | None:
    """Returns the cell of a difference, with signs and without a track; None if there is no difference."""
    if interval is None:
        return None
    mean, low, high = (_signed(metric, value) for value in (interval.mean, interval.low, interval.high))
    return Cell(mean, f"[{low}, {high}]", None, 0.0, 0.0)


def _signed(metric: Metric, value: float) -> str:
    text = metric.text(value)
    return text if text.startswith("-") or not any(digit in text for digit in "123456789") else f"+{text}"
