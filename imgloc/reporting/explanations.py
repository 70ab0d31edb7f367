"""The table of the metrics of explanations, where `imgloc explain RUN --evaluate` has scored the split of a report."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from imgloc.errors import UserError
from imgloc.evaluation.explanation_metrics import METRICS
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Metric
from imgloc.reporting.load import RunReport
from imgloc.reporting.tables import Cell, cell


@dataclass(frozen=True)
class ExplanationTable:
    """The metrics of each method of one run, the controls last."""

    label: str  # of the run
    target: str  # as the user wrote it; "" for the default one
    metrics: list[Metric]
    rows: list[tuple[str, list[Cell | None]]]


def explanation_table(report: RunReport) -> ExplanationTable | None:
    """The table of a run; None where its present model was not scored on the split, or the file is damaged."""
    saved: dict[str, Any] = {}
    if report.run.explanations.is_file():
        with contextlib.suppress(UserError):
            saved = report.run.read(report.run.explanations).get(report.split, {})
    try:
        if not saved or saved["step"] != report.model.meta.get("step"):
            return None
        methods = {name: {key: Interval(**each) for key, each in found.items()} for name, found in saved["methods"].items()}
        target = str(saved["target"])
    except (TypeError, KeyError, AttributeError):  # another version wrote it
        return None
    metrics = [metric for metric in METRICS if any(metric.key in found for found in methods.values())]
    rows = [(name, [cell(metric, found.get(metric.key)) for metric in metrics]) for name, found in methods.items()]
    return ExplanationTable(report.label, target, metrics, rows)
