"""Evaluation in Python, as `imgloc evaluate` does it, with results as pandas data frames."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from imgloc.config import saved
from imgloc.config.overrides import flat
from imgloc.config.resolve import resolve_values
from imgloc.config.task import make_task
from imgloc.deployment.exported import open_exported
from imgloc.errors import as_names
from imgloc.evaluation import scoring
from imgloc.evaluation.evaluate import evaluate as evaluate_target
from imgloc.evaluation.exported import named_after
from imgloc.evaluation.image_sizes import image_sizes
from imgloc.evaluation.predictors import MODEL
from imgloc.evaluation.statistics import Interval
from imgloc.evaluation.target import Target, named_target
from imgloc.inference.export import check_format, export
from imgloc.interfaces import ImageRow
from imgloc.runs.prediction_table import read_meta, read_rows
from imgloc.runs.recorded_data import read_data
from imgloc.runs.run_dir import RunDir, open_run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Results:
    """The scores of a run and of the baselines on one split. A notebook shows the table of whole metrics."""

    run: RunDir = field(repr=False)
    config: ConfigDict = field(repr=False)
    target: Target = field(repr=False)
    split: str  # the name in results.json: SPLIT, or SPLIT@NAME
    checkpoint: str
    intervals: Mapping[str, Mapping[str, Interval]] = field(repr=False)  # predictor -> metric -> interval

    @property
    def metrics(self) -> pd.DataFrame:
        """One row for each predictor and metric: predictor, metric, slice, mean, low, high, n.

        The predictor is `model` or a baseline. `slice` is empty for all images, else SLICING/PART such as `size/small`. `mean` is the
        value of the metric, `low` and `high` are its 95 % interval, and `n` is the number of examples that it is over.
        """
        import pandas as pd

        return pd.DataFrame(
            [
                {"predictor": predictor, "metric": metric, "slice": part, **dataclasses.asdict(each)}
                for predictor, scores in self.intervals.items()
                for key, each in scores.items()
                for metric, _, part in [key.partition("/")]
            ],
            columns=["predictor", "metric", "slice", "mean", "low", "high", "n"],
        )

    def rows(self, predictor: str = MODEL) -> pd.DataFrame:
        """One row for each example: the saved truth and prediction of a predictor, which the metrics are computed from."""
        import pandas as pd

        return pd.DataFrame(read_rows(self.run.rows(self.split, predictor), expected={}))

    @functools.cached_property
    def _image_sizes(self) -> dict[str, tuple[int, int]]:
        return image_sizes(self.target.source)

    def export(self, format: str, folder: str | Path | None = None) -> Path:  # noqa: A002  (the term of the field)
        """Write the predictions of the model in the format `coco`, `yolo` or `csv`, and return the folder.

        The folder is by default `RUN/exports/SPLIT/FORMAT`. Raises UserError for an unknown format, and for one that needs boxes that
        the task does not predict.
        """
        task = make_task(self.config)
        chosen = check_format(format, self.config.task, task)
        rows = read_rows(self.run.rows(self.split), expected={})
        out = self.run.exports(self.split, format) if folder is None else Path(folder)
        images = [ImageRow(row["id"], *self._image_sizes[row["id"]], row) for row in rows]
        return export(chosen, images, read_data(self.run).classes, task, out)

    @property
    def skipped(self) -> int:
        """The number of images that could not be decoded."""
        return int((read_meta(self.run.rows(self.split)) or {}).get("skipped", 0))

    def _repr_html_(self) -> str:
        import pandas as pd

        keys = scoring.in_order(self.intervals.get(MODEL, {}), make_task(self.config))
        cells = {
            predictor: {key: f"{each.mean:.3f} [{each.low:.3f}, {each.high:.3f}]" for key in keys if (each := scores.get(key))}
            for predictor, scores in self.intervals.items()
        }
        table: str = pd.DataFrame(cells, index=keys).to_html(border=0, na_rep="")
        return table


def evaluate(
    run: str | Path,
    split: str = "test",
    *,
    checkpoint: str = "best",
    name: str = "",
    predictor: str | Path | None = None,
    allow_native_code: bool = False,
    partial_predictions: Sequence[str] = (),
    allow_imports: Sequence[str] = (),
    **overrides: Any,
) -> Results:
    """Score a run and the baselines on a split: writes rows and results.json to the run folder, as `imgloc evaluate` does.

    `checkpoint` is `best` (on validation) or `last`. Overrides of `data.source`, `data.options` and of fields of the model that change
    none of its variables score the run on other data or with other fields, under a `name`:
    `imgloc.evaluate("runs/a", name="full", **{"data.options.digits": "idx"})`. `partial_predictions` are the ids of examples whose
    partial predictions are saved for the report. Rows that are up to date are reused. `predictor` is a file that `imgloc.export` has
    written from the model of the run: its rows and results are SPLIT@FILE. `allow_native_code` allows a file that is machine code.

    Raises UserError for a folder without a trained model, for another split or other data that shares examples with the training or
    validation data of the run, and for classes that it does not know.
    """
    saved.allow_imports(*as_names(allow_imports))
    folder, config = open_run(str(run))
    other = resolve_values(config, overrides) if overrides else None
    target = named_target(folder, config, split, checkpoint=checkpoint, name=name, keys=tuple(flat(overrides)), other=other)
    exported = None
    if predictor is not None:
        exported = open_exported(Path(predictor), allow_native_code=allow_native_code)
        target = named_after(target, exported)
    intervals = evaluate_target(folder, config, target, which=checkpoint, partial=as_names(partial_predictions), exported=exported)
    return Results(folder, config, target, target.name, checkpoint, intervals)
