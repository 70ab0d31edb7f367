"""Which classes are taken for which."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from imgloc.report.figures import confusion_heat_map
from imgloc.report.load import RunReport
from imgloc.report.svg import inline

SHOWN = 30  # classes at most
COMMONEST = 6  # confusions listed beside the figure


@dataclass(frozen=True)
class Confusion:
    """The heat map of a run, and its commonest confusions (true, predicted, count, share of the true class)."""

    run: str
    svg: Markup
    shown: int
    classes: int
    errors: int
    n: int
    commonest: list[tuple[str, str, int, str]]


def confusion(report: RunReport, index: int) -> Confusion | None:
    """Counts of (true, predicted) class over the model's rows; of many classes, the most frequent true ones are drawn.

    None for a task without a confusion matrix.
    """
    if report.task.confusion is None:
        return None
    pairs = Counter(map(report.task.confusion, report.model.rows))
    totals: Counter[int] = Counter()
    for (true, _), count in pairs.items():
        totals[true] += count
    everything = sorted({label for pair in pairs for label in pair})
    kept = sorted(sorted(everything, key=lambda k: (-totals[k], k))[:SHOWN])
    capped = len(everything) > len(kept)
    place = {label: i for i, label in enumerate(kept)}
    share_txp = np.zeros((len(kept), len(kept) + capped))
    for (true, predicted), count in pairs.items():
        if true in place:
            share_txp[place[true], place.get(predicted, len(kept))] += count / totals[true]
    names = [report.class_name(label) for label in kept]
    figure = confusion_heat_map(share_txp, names, [*names, "other"] if capped else names)
    wrong = sorted(((count, pair) for pair, count in pairs.items() if pair[0] != pair[1]), key=lambda item: (-item[0], item[1]))
    commonest = [
        (report.class_name(true), report.class_name(predicted), count, f"{100 * count / totals[true]:.1f}")
        for count, (true, predicted) in wrong[:COMMONEST]
    ]
    told = "; ".join(f"{true} taken for {predicted} {count} times" for true, predicted, count, _ in commonest[:3])
    label = f"Confusion matrix of {report.label}: {told or 'no confusion'}"
    errors = sum(count for count, _ in wrong)
    svg = inline(figure, f"confusion-{index}", label)
    return Confusion(report.label, svg, len(kept), len(everything), errors, len(report.model.rows), commonest)
