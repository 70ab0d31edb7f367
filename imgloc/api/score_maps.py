"""The scores of score maps in Python, as `imgloc wsol` prints them. Nothing here imports JAX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imgloc.api.coco_results import SAMPLES, check_options
from imgloc.errors import UserError, printable
from imgloc.evaluation import wsol
from imgloc.evaluation.statistics import BootstrapValues, Interval, bootstrap_weights, percentile_interval
from imgloc.score_maps.localization import best_contour_ious, largest_contour_ious, pixel_histograms
from imgloc.score_maps.metadata import Metadata, read_classes, read_metadata
from imgloc.score_maps.reading import prepared, read_masks, read_score_map
from imgloc.types import BoolArray, FloatArray, IntArray

INTERVAL = 0.001  # between thresholds
SEED = 0


@dataclass(frozen=True)
class ScoreMapResults:
    """The scores of the score maps of a split."""

    images: int
    metrics: Mapping[str, Interval]
    thresholds: FloatArray  # [t], of the counts
    best_thresholds: Mapping[str, float]  # of a metric KEY_IOU: the lowest threshold at which it has its value
    correct: Mapping[str, Mapping[str, IntArray]] = field(default_factory=dict)  # KEY, IoU in per cent: the correct images [t]
    pixels: IntArray | None = None  # [2, t + 2]: foreground and background between thresholds; the last bins begin at 1 and 2


def evaluate_wsol(
    scoremaps: str | Path,
    metadata: str | Path,
    masks: str | Path | None = None,
    *,
    classes: str | Path | None = None,
    interval: float = INTERVAL,
    threshold: float | None = None,
    samples: int = SAMPLES,
) -> ScoreMapResults:
    """Return the metrics of weakly supervised localization of a folder of score maps, with their 95 % intervals over images.

    `scoremaps` has a file ID.npy for each image of `metadata`, the folder of one split in the layout of wsolevaluation; `masks` is the
    folder of the masks that it names, if it names masks. With `classes`, a file with lines `id,class number` of predicted classes, top-1
    metrics are added; with `threshold`, box accuracies at this threshold. `interval` is that between the thresholds of which the best
    counts, `samples` the number of bootstrap samples, from 1 to 100,000. Metrics are shares, from 0 to 1. Raises UserError for files
    that cannot be scored, and for other values.
    """
    check_wsol_options(interval, threshold, samples)
    truth = read_metadata(Path(metadata))
    predicted = None if classes is None else _predicted(Path(classes), truth)
    thresholds_t = np.arange(0, 1, interval)
    weights_rxg, group_n = bootstrap_weights(truth.ids, samples=samples, seed=SEED)
    weights_rxn = weights_rxg[:, group_n]
    if truth.masks:
        if masks is None or threshold is not None or classes is not None:
            wrong = "threshold or classes, which belong to boxes" if masks is not None else "no folder of masks"
            raise UserError(f"the metadata names masks: expected masks (--masks), without threshold and classes; got {wrong}")
        histograms = np.stack([_histograms(Path(scoremaps), Path(masks), truth, image, thresholds_t) for image in truth.ids])
        value = wsol.pixel_precision(histograms, weights_rxn)
        if math.isnan(value.whole):
            raise UserError("no mask has a foreground pixel; PxAP needs at least one")
        return ScoreMapResults(len(truth.ids), {"pxap": percentile_interval(value)}, thresholds_t, {}, pixels=histograms.sum(axis=0))
    if masks is not None:
        raise UserError("the metadata has boxes and names no masks: expected no masks (--masks)")
    all_t = thresholds_t if threshold is None else np.append(thresholds_t, threshold)
    reached = [_reached(Path(scoremaps), truth, image, all_t) for image in truth.ids]
    largest_nxt, best_nxt = (np.stack(each) for each in zip(*reached, strict=True))
    return _box_results(largest_nxt, best_nxt, thresholds_t, predicted, weights_rxn)


def check_wsol_options(interval: float, threshold: float | None, samples: int) -> None:
    """Raise UserError for a value that cannot be used."""
    check_options(samples, None)
    if not 1e-4 <= interval <= 0.5:
        raise UserError(f"interval must be from 0.0001 to 0.5, got {interval}")
    if threshold is not None and not 0 <= threshold < 1:
        raise UserError(f"threshold must be at least 0 and less than 1, got {threshold}")


def _predicted(path: Path, truth: Metadata) -> BoolArray:
    """Returns whether the predicted class of each image is its class."""
    found = read_classes(path)
    missing = [image for image in truth.ids if image not in found]
    if missing:
        raise UserError(f"'{printable(str(path))}' has no class for {len(missing):,} images, such as '{printable(missing[0])}'")
    return np.array([found[image] == truth.labels[image] for image in truth.ids])


def _map_of(folder: Path, image: str) -> FloatArray:
    return prepared(read_score_map(folder / f"{image}.npy"))


def _reached(folder: Path, truth: Metadata, image: str, thresholds_t: FloatArray) -> tuple[IntArray, IntArray]:
    """Returns how many IoUs the largest contour and the best contour of an image reach at each threshold."""
    map_hxw = _map_of(folder, image)
    largest_t, best_t = (each(map_hxw, truth.boxes[image], thresholds_t) for each in (largest_contour_ious, best_contour_ious))
    return wsol.ious_reached(largest_t), wsol.ious_reached(best_t)


def _histograms(folder: Path, masks: Path, truth: Metadata, image: str, thresholds_t: FloatArray) -> IntArray:
    """Returns the histograms of the foreground and the background of an image."""
    names, ignored = truth.masks[image]
    pixels = read_masks([masks / name for name in names], masks / ignored if ignored else None)
    return pixel_histograms(_map_of(folder, image), pixels, thresholds_t)


def _box_results(
    largest_nxt: IntArray, best_nxt: IntArray, thresholds_t: FloatArray, right_n: BoolArray | None, weights_rxn: FloatArray
) -> ScoreMapResults:
    """Returns the metrics of boxes; a threshold behind the others is fixed."""
    kinds = {"max_box_acc": largest_nxt, "max_box_acc_v2": best_nxt}
    if right_n is not None:
        kinds["max_top1_loc"] = largest_nxt * right_n[:, None]
    values: dict[str, BootstrapValues] = {}
    correct: dict[str, dict[str, IntArray]] = {}
    best_thresholds: dict[str, float] = {}
    for key, reached_nxt in kinds.items():
        values |= wsol.best_shares(key, reached_nxt[:, : len(thresholds_t)], weights_rxn)
        correct[key] = wsol.correct_counts(reached_nxt[:, : len(thresholds_t)])
        best_thresholds |= {f"{key}_{iou}": float(thresholds_t[count_t.argmax()]) for iou, count_t in correct[key].items()}
        if reached_nxt.shape[1] > len(thresholds_t):
            values |= wsol.best_shares(key.removeprefix("max_"), reached_nxt[:, -1:], weights_rxn)
    if right_n is not None:
        share_r = weights_rxn @ right_n / len(right_n)
        values["top1_acc"] = BootstrapValues(float(right_n.mean()), share_r, len(right_n), len(right_n))
    intervals = {key: percentile_interval(value) for key, value in values.items()}
    return ScoreMapResults(len(largest_nxt), intervals, thresholds_t, best_thresholds, correct)
