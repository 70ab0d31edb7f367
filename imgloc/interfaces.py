"""Declarations of tasks, metrics, slicings, losses, baselines and operations.

Each is one frozen object under a fixed name (`TASK`, `METRICS`, `SLICING`, `LOSS`, `BASELINE`, `OPERATION`) in a separate file. Its fields
contain everything that other files need to know about it, so that a new one requires no change to other files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from imgloc.types import Batch, BoolArray, FloatArray, Outputs, Row, Truth

#: The shape of an output: numbers, and letters for axes of any length. The same letter means the same length everywhere;
#: `b` is the batch and `k` the number of classes.
AxisNames: TypeAlias = tuple[str | int, ...]
ToPixels: TypeAlias = Callable[[Sequence[float]], tuple[float, ...]]  # a box xyxy in [0, 1] to pixels of the image file


def mean(sums: FloatArray) -> FloatArray:
    """The mean [...] from sums [..., 2] of values and of counts; NaN where the count is 0."""
    count = sums[..., 1]
    return np.where(count > 0, sums[..., 0] / np.where(count > 0, count, 1.0), np.nan)


@dataclass(frozen=True)
class Metric:
    """What one number of a table means.

    `value` computes it from sums [..., s] of the statistics of rows. The sums of a bootstrap resample are weighted, so any
    metric that is a function of sums over rows has an interval: a mean, a calibration error, a recall.
    """

    key: str  # in rows, results.json and metrics.jsonl
    title: str
    meaning: str  # one sentence
    unit: str = "share"  # share (shown in per cent), IoU, or any other unit
    higher_is_better: bool = True
    value: Callable[[FloatArray], FloatArray] = mean
    worst: float | None = None  # of a row whose answer is NaN or infinite; 0 if not set and higher is better

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1: the best value is the highest of `sign * value`."""
        return 1 if self.higher_is_better else -1

    def text(self, value: float) -> str:
        """The value for a table: per cent with one decimal for a share, else three decimals."""
        shown = f"{value:.3f}"
        # Rounds to three decimals first, as the commands do: 100 * value would round ties such as 99.25 differently.
        return f"{Decimal(shown).scaleb(2):f}" if self.unit == "share" else shown


class Weighted(NamedTuple):
    """Metrics of n rows as functions of the weights of the rows. What does not depend on the weights is computed once.

    `values` returns [r] for each key from weights [r, n], NaN where it does not apply; weights of 1 give the metric itself. `counts`
    has the number of rows that each key is over. A key is that of a metric, or METRIC/class/LABEL for the metric of one class.
    """

    values: Callable[[FloatArray], Mapping[str, FloatArray]]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class MetricFamily:
    """The metrics of one file (`METRICS`), computed together from rows that have the columns.

    Exactly one of the three functions is given. `per_row` returns one value [n] for each metric, NaN where the metric does not
    apply; the metric is their mean. `statistics` returns [n, s] for each metric, which `Metric.value` reads after summation. A
    row of zeros means that the metric does not apply to that example, which then does not count towards the interval's n.
    `weighted` is for metrics that are not functions of sums, such as an average precision.

    A model may give NaN or infinite outputs for an example. Its row has `finite` False and columns of outputs that are zero.
    `per_row` need not look at it: the metric counts the row as `Metric.worst` if it applies. The other two must.
    """

    columns: tuple[str, ...]
    metrics: tuple[Metric, ...]
    per_row: Callable[[Sequence[Row]], Mapping[str, FloatArray]] | None = None
    statistics: Callable[[Sequence[Row]], Mapping[str, FloatArray]] | None = None
    weighted: Callable[[Sequence[Row]], Weighted] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError unless exactly one of the functions is given, and a worst value for metrics of rows that are errors."""
        if [self.per_row, self.statistics, self.weighted].count(None) != 2:
            raise ValueError("a MetricFamily needs exactly one of per_row, statistics and weighted")
        for metric in self.metrics if self.per_row is not None else ():
            if not metric.higher_is_better and metric.worst is None:
                raise ValueError(f"metric '{metric.key}' is better when lower; it needs `worst`, the value of an answer that is not finite")


@dataclass(frozen=True)
class Slicing:
    """A division of rows into parts that are scored separately (`SLICING`), such as classes or box sizes."""

    key: str  # the metrics of a part are METRIC/KEY/PART in results.json
    title: str
    meaning: str  # one sentence
    parts: Callable[[Sequence[Row], Sequence[str]], Mapping[str, BoolArray]]  # rows and class names -> part -> mask [n]
    notes: Mapping[str, str]  # what a part contains, for parts with a fixed name
    columns: tuple[str, ...] = ()  # of the rows; rows without them are not divided


@dataclass(frozen=True)
class Loss:
    """A training loss (`LOSS`): `function(outputs, batch, **options)` returns one value for each example, [b].

    `outputs` names what the loss reads of the model, with shapes; `features/NAME` is an entry of the output `features`. A name
    in braces is the value of that option: `{output}`. `truths` names the fields of the batch that it reads; a contract test checks them.
    """

    function: Callable[..., Any]
    outputs: Mapping[str, AxisNames]
    truths: tuple[str, ...]
    may_be_negative: bool = False
    optional_outputs: Mapping[str, AxisNames] = field(default_factory=dict)  # that it reads where a model has them
    inputs: tuple[str, ...] = ()  # options that are numbers the compiled step may receive as arrays, so that runs share a program
    shared_options: tuple[str, ...] = ()  # which must have the same value in all losses of a config that name them here

    @property
    def needs_objects(self) -> bool:
        """Whether it learns from the objects of an image alone: without any box it is 0."""
        return "boxes_bxnx4" in self.truths and "label_b" not in self.truths

    @property
    def needs_labels(self) -> bool:
        """Whether it learns from the class of an image, which an image without objects may not have."""
        return "label_b" in self.truths


@dataclass(frozen=True)
class Baseline:
    """A predictor that does not read images (`BASELINE`). It is evaluated beside the model of every run of its tasks.

    `fit` returns JSON values from the truths of the training split and the number of classes; `predict` returns outputs for a
    batch from these values.
    """

    title: str
    meaning: str  # one sentence
    tasks: tuple[str, ...]
    fit: Callable[[Sequence[Truth], int], Any]
    predict: Callable[[Any, Batch], Outputs]


@dataclass(frozen=True)
class Operation:
    """An operation on images (`OPERATION`): `function(images_bxhxwxc, **options)` returns maps (b, h, w, k) of the same height and width.

    The images are float32, photographs in [0, 1]. The options are the keyword-only parameters of the function, with defaults. It is
    pure and compiled. `picture` makes an image (h, w, 1 or 3) in [0, 1] of the maps (h, w, k) of one image, for display. Its keyword-only
    parameters are options of the function, and get their values.
    """

    function: Callable[..., Any]
    meaning: str  # one sentence
    picture: Callable[..., FloatArray]
    channels: tuple[int, ...] = ()  # the numbers of channels that images may have; (): any number


class Detection(NamedTuple):
    """A predicted object."""

    label: int
    score: float  # its probability
    box: Sequence[float]  # xyxy in [0, 1] of the image


def no_detections(row: Row) -> tuple[Detection, ...]:
    """The predicted objects of a task without boxes."""
    return ()


class Fitted(NamedTuple):
    """What a fit returns: the variables of a model, arrays by name, and the fields of the model on which their shapes depend."""

    variables: Mapping[str, Any]  # of the collection `fitted`
    fields: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Fit:
    """How the variables of a model are computed from the training split without gradients (`FIT`, beside `Model`).

    Each combination of the values of the fields in `search`, which are tuples, is a candidate: it is fitted, scored on validation, and
    the best one is the trained model. A candidate has tuples of one value. Both functions are pure; the same inputs give the same bits.
    """

    prepare: Callable[[Any, Iterator[Batch]], Any]  # (model, training batches) -> what all candidates are fitted on
    fit: Callable[[Any, Any, np.random.Generator], Fitted]  # (the model of a candidate, what `prepare` returned, generator)
    search: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()  # the fields that `Fitted.fields` has; a config keeps their defaults


class Overlay(NamedTuple):
    """A box to draw on a picture."""

    box: Sequence[float]  # xyxy in [0, 1] of the picture
    caption: str = ""
    kind: str = "predicted"  # or true


@dataclass(frozen=True)
class Card:
    """What a report shows of one example beside its picture."""

    true: str
    predicted: str
    correct: bool
    notes: tuple[str, ...] = ()  # such as a probability or an IoU
    overlays: tuple[Overlay, ...] = ()


class Curve(NamedTuple):
    """The share of examples whose value reaches each threshold from 0 to 1; NaN where an example does not count."""

    title: str
    threshold: str  # what the values are
    values: Callable[[Sequence[Row]], FloatArray]


class ImageRow(NamedTuple):
    """A row with the name and the size in pixels of its upright image."""

    name: str
    width: int
    height: int
    row: Row


@dataclass(frozen=True)
class Export:
    """A file format of predictions (`EXPORT`): `files` returns the text of each file by its path, for rows, class names and the task."""

    meaning: str  # one sentence
    files: Callable[[Sequence[ImageRow], Sequence[str], Task], Mapping[str, str]]
    needs_boxes: bool = False  # whether it requires boxes


@dataclass(frozen=True)
class Task:
    """A prediction task (`TASK`): the outputs that a model must return, and everything that is derived from them.

    Outputs of a model become predictions of the image, predictions become columns of rows, and rows become metrics, tables,
    pictures and the lines of `imgloc locate`. Only the task knows the meaning of these columns.
    """

    outputs: Mapping[str, AxisNames]  # that a model must have
    optional_outputs: Mapping[str, AxisNames]  # that are used where a model has them
    #: (outputs of a batch as NumPy arrays, content_bx4) -> predictions of the images, with a leading axis b. `content_bx4` is the
    #: part of the model's input that shows the image, a box in [0, 1]; boxes are mapped back through it.
    postprocess: Callable[[Outputs, FloatArray], Mapping[str, Any]]
    truth_columns: Callable[[Truth], Row]  # of an example, with all of its objects in the order of a batch: the image's own class first
    prediction_columns: Callable[[Mapping[str, Any], int], Row]  # of example i of the predictions
    answer: Callable[[Row, Sequence[str], ToPixels], Any]  # what the Python API returns for an image: a NamedTuple
    answer_json: Callable[[Any, Any], dict[str, Any]]  # what `imgloc locate` prints: of an answer, and of the upright one or None
    card: Callable[[Row, Callable[[int], str]], Card]  # of a row and a function from labels to class names
    gallery_score: Callable[[Sequence[Row]], FloatArray]  # [n]: the gallery shows the rows with the highest, median and lowest ones
    headline_metrics: tuple[str, ...]  # keys, the most important first; slices, sweeps and summaries show these
    best_metric: str  # whose best value on validation chooses the checkpoint
    slicings: tuple[str, ...] = ("classes", "sizes", "attributes")  # files of imgloc/evaluation/slicings
    metrics: tuple[str, ...] = ()  # modules with METRICS besides those of imgloc/evaluation/metrics; config.eval.metrics adds to them
    detections: Callable[[Row], Sequence[Detection]] = no_detections  # the predicted objects of a row: they are drawn and exported
    #: Columns of every row that validation chooses for a trained model, such as a score threshold, with their values without validation.
    calibration: Mapping[str, float] = field(default_factory=dict)
    calibrate: Callable[[Sequence[Row]], Mapping[str, float]] = lambda _: {}  # chooses them from the rows of validation
    with_calibration: Callable[[Row, Mapping[str, float]], Row] = lambda row, calibration: {**row, **calibration}  # and what depends on it
    #: Columns of example i of the predictions that depend on its true class as well, for scores that presuppose the class.
    true_class_columns: Callable[[Mapping[str, Any], int, int], Row] = lambda *_: {}
    baseline_outputs: Mapping[str, AxisNames] | None = None  # of baselines, where they are not those of a model
    #: (partial predictions, content_bx4) -> those of them that are positions, mapped back to the images; see `postprocess`.
    partial_to_image: Callable[[Outputs, FloatArray], Outputs] = lambda *_: {}
    #: Shapes of partial predictions that are not those of the output with an axis s after b.
    partial_outputs: Mapping[str, AxisNames] = field(default_factory=dict)
    #: The score map (h, w) in [0, 1] of the predicted class of example i of the predictions, over the model's input, if there are maps.
    score_map: Callable[[Mapping[str, Any], int], FloatArray] | None = None
    curves: tuple[Curve, ...] = ()
    confusion: Callable[[Row], tuple[int, int]] | None = None  # (true, predicted) class of a row, for a confusion matrix
    #: What the task does with several objects in an image; completes "the task ...". Not used with `learns_all_objects`.
    objects: str = "reads all of them"
    learns_all_objects: bool = False  # of an image; training then warns of objects beyond data.max_objects
    summary: str = "the answer for each image"  # completes "predicts ..."
    gallery_order: str = "from the best to the worst"  # completes "Ordered ..."

    @property
    def has_boxes(self) -> bool:
        """Whether it predicts boxes."""
        return self.detections is not no_detections

    def shown(self, row: Row) -> list[Detection]:
        """The predicted objects of a row that are drawn: those whose score is at least its `score_threshold`, if it has one."""
        least = row.get("score_threshold", self.calibration.get("score_threshold", 0.0))
        return [each for each in self.detections(row) if each.score >= least]
