"""The words and number formats of a report: what each metric is called, what it means, how it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from imgloc.evaluation.statistics import Interval

ORDER = ("top1", "mean_iou", "gt_known", "top1_loc", "last_look_hit", "last_look_iou", "look_hits", "sequence_right", "labels_right")
TITLES = {
    "top1": "Top-1 accuracy", "mean_iou": "Mean IoU", "gt_known": "Localization, class known", "top1_loc": "Top-1 localization",
    "last_look_hit": "Last look hits", "last_look_iou": "IoU of the last look", "look_hits": "Looks that hit",
    "sequence_right": "Sequences right", "labels_right": "Labels right",
}  # fmt: skip
SHARES = ("top1", "gt_known", "top1_loc", "last_look_hit", "look_hits", "sequence_right", "labels_right")
EXPLAINED = {
    "top1": "share of images whose likeliest class is right",
    "mean_iou": "overlap of the predicted with the true box: intersection over union, averaged over images",
    "gt_known": "share of images whose box is right, class left aside: IoU with a true box reaches the threshold",
    "top1_loc": "share of images whose likeliest class and box are both right",
    "last_look_hit": "share of images where the centre of the last window that was looked through lies in a true box",
    "last_look_iou": "overlap of that window with a true box, averaged over images",
    "look_hits": "share of an image's looks, the first ones too, whose centres lie in a true box, averaged over images",
    "sequence_right": "share of images all of whose objects are named, from left to right",
    "labels_right": "share of an image's objects that are named in their place from left to right, averaged over images",
}
BASELINES = {
    "whole_image": ("whole image", "box of the whole image, commonest class of training"),
    "median_box": ("median box", "median of each box edge in training, commonest class of training"),
}
COMMONEST = ("commonest class", "the commonest class of training for every image")


@dataclass(frozen=True)
class Cell:
    """An interval as text, and where it lies on a track from 0 to 1 in percent (None: outside it)."""

    mean: str
    range: str
    left: float | None
    width: float
    dot: float


def split_threshold(metric: str) -> tuple[str, int | None]:
    """`gt_known_50` -> (`gt_known`, 50); a name without a known threshold stays whole."""
    found = re.fullmatch(r"(gt_known|top1_loc)_(\d+)", metric)
    return (found[1], int(found[2])) if found else (metric, None)


def title(metric: str) -> str:
    """What a metric is called in a table or above a figure."""
    family, threshold = split_threshold(metric)
    name = TITLES.get(family, metric)
    return name if threshold is None else f"{name}, IoU \u2265 {threshold / 100:g}"


def is_share(metric: str) -> bool:
    """Whether a metric is a share of images or looks, written in percent."""
    return split_threshold(metric)[0] in SHARES


def in_order(metrics: Iterable[str]) -> list[str]:
    """Whole metrics in the order that they are read: the known families first, by threshold, then the rest by name."""

    def rank(metric: str) -> tuple[int, int, str]:
        family, threshold = split_threshold(metric)
        return (ORDER.index(family) if family in ORDER else len(ORDER), threshold or 0, metric)

    return sorted((metric for metric in metrics if "/" not in metric), key=rank)


def explanations(metrics: Iterable[str]) -> list[tuple[str, str]]:
    """(name, meaning) of the known families among the metrics."""
    families = {split_threshold(metric)[0] for metric in metrics}
    return [(title(family), EXPLAINED[family]) for family in ORDER if family in families]


def number(metric: str, value: float) -> str:
    """Percent with one decimal for a share, else three decimals."""
    shown = f"{value:.3f}"
    # The digits that the commands show: 100 * value would round ties (99.25) another way.
    return f"{Decimal(shown).scaleb(2):f}" if is_share(metric) else shown


def cell(metric: str, interval: Interval | None) -> Cell | None:
    """An interval as a table shows it; None where the metric does not apply."""
    if interval is None:
        return None
    low, high = interval.low, interval.high
    inside = low >= 0 and high <= 1
    return Cell(
        mean=number(metric, interval.mean),
        range=f"[{number(metric, low)}, {number(metric, high)}]",
        left=round(100 * low, 2) if inside else None,
        width=round(100 * (high - low), 2),
        dot=round(100 * interval.mean, 2),
    )
