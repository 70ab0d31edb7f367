"""Confusion matrices."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from imgloc.reporting.figures import confusion_heat_map, heat_map_side
from imgloc.reporting.load import RunReport
from imgloc.reporting.svg import inline_svg

NO_ANSWER = -1  # in place of the predicted class, where outputs are not finite
MAX_CLASSES = 30  # in the figure
LISTED = 6  # most frequent confusions, in a table beside the figure


@dataclass(frozen=True)
class Confusion:
    """The heat map of a run, and its most frequent confusions (true class, predicted class, count, per cent of the true class)."""

    run: str
    svg: Markup
    width: int  # of the figure in CSS pixels, at most
    shown: int
    classes: int
    errors: int
    pairs: int  # of different classes that were confused
    n: int
    most_frequent: list[tuple[str, str, int, str]]


def confusion(report: RunReport, index: int) -> Confusion | None:
    """The confusion matrix of a model, of the `MAX_CLASSES` most frequent true classes. None for a task without one."""
    if report.task.confusion is None:
        return None
    pairs: Counter[tuple[int, int]] = Counter()
    for row in report.model.rows:
        true, predicted = report.task.confusion(row)
        pairs[true, predicted if row.get("finite", True) else NO_ANSWER] += 1
    totals: Counter[int] = Counter()
    for (true, _), count in pairs.items():
        totals[true] += count
    labels = sorted({label for pair in pairs for label in pair} - {NO_ANSWER})
    kept = sorted(sorted(labels, key=lambda k: (-totals[k], k))[:MAX_CLASSES])
    capped = any(predicted not in kept for _, predicted in pairs)
    position = {label: i for i, label in enumerate(kept)}
    share_txp = np.zeros((len(kept), len(kept) + capped))
    for (true, predicted), count in pairs.items():
        if true in position:
            share_txp[position[true], position.get(predicted, len(kept))] += count / totals[true]
    names = [report.class_name(label) for label in kept]
    figure = confusion_heat_map(share_txp, names, [*names, "other"] if capped else names)
    wrong = sorted(((count, pair) for pair, count in pairs.items() if pair[0] != pair[1]), key=lambda item: (-item[0], item[1]))
    most_frequent = [
        (report.class_name(true), _name(report, predicted), count, f"{100 * count / totals[true]:.1f}")
        for count, (true, predicted) in wrong[:LISTED]
    ]
    summary = "; ".join(f"{true} predicted as {predicted} {count} times" for true, predicted, count, _ in most_frequent[:3])
    label = f"Confusion matrix of {report.label}: {summary or 'no confusion'}"
    errors = sum(count for count, _ in wrong)
    svg = inline_svg(figure, f"confusion-{index}", label)
    width = 780 if len(kept) > 12 else round(117 * heat_map_side(len(kept) + capped))
    return Confusion(report.label, svg, width, len(kept), len(labels), errors, len(wrong), len(report.model.rows), most_frequent)


def _name(report: RunReport, label: int) -> str:
    return "none (not finite)" if label == NO_ANSWER else report.class_name(label)
