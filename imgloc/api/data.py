"""Data sets in Python, as `imgloc data` checks, summarizes and shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from imgloc.config import build, schema
from imgloc.data import summary
from imgloc.data.batches import preview
from imgloc.data.checks import dataset
from imgloc.data.checks.faults import KINDS
from imgloc.data.checks.folder import Findings
from imgloc.errors import UserError, as_names, unknown
from imgloc.reporting import sheet
from imgloc.types import Source

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "validation", "test")
MAX_COUNT = 1000  # images of a page


def check_data(data: str | Path | ConfigDict, **options: Any) -> pd.DataFrame:
    """Check a folder, or the data of a config, and return one row for each fault: kind, where, what, effect, serious, left_out.

    Every image is decoded. `options` of a folder are those of the source `folder`, such as `format`, `convention` and `follow_links`.
    """
    import pandas as pd

    config = data_config(data, **options)
    return pd.DataFrame(fault_records(findings(config)), columns=["kind", "where", "what", "effect", "serious", "left_out"])


def findings(config: ConfigDict) -> Findings:
    """Return the findings of a thorough check of the data of a config."""
    found = dataset.check_data(config.data, config.seed, thorough=True)
    assert found is not None, "a thorough check always returns findings"
    return found


def fault_records(found: Findings) -> list[dict[str, Any]]:
    """Return each fault with its effect, as JSON values."""
    effects = {name: {"effect": kind.effect, "serious": kind.serious, "left_out": kind.left_out} for name, kind in KINDS.items()}
    return [{"kind": fault.kind, "where": fault.where, "what": fault.what, **effects[fault.kind]} for fault in found.faults]


def summarize_data(
    data: str | Path | ConfigDict,
    splits: Sequence[str] = SPLITS,
    *,
    median_of: Sequence[str] = ("train",),
    **options: Any,
) -> dict[str, Any]:
    """Return the statistics of the splits of a folder, or of the data of a config, as JSON values.

    They are the numbers of images, classes and boxes, and the scores of two fixed boxes: that of the whole image, and the median box
    of the splits `median_of`. The keys are `splits`, `missing` (why a split is unavailable), `median_of`, and `boxes`, the fixed boxes.
    Raises UserError where none of the splits is available.
    """
    splits, median_of = as_names(splits), as_names(median_of)
    for name in (*splits, *median_of):
        if name not in SPLITS:
            raise unknown("split", name, SPLITS)
    config = data_config(data, **options)
    truths: dict[str, summary.SplitTruths] = {}
    missing: dict[str, str] = {}
    for name, source in open_splits(config, [name for name in SPLITS if name in {*splits, *median_of}]):
        if isinstance(source, UserError):
            missing[name] = str(source)
        else:
            truths[name] = summary.collect_truths(name, source)
    if not any(name in truths for name in splits):
        raise UserError(next(missing[name] for name in splits if name in missing))
    boxes = {"whole image": [0.0, 0.0, 1.0, 1.0]}
    median = summary.median_box([truths[name] for name in median_of if name in truths])
    if median is not None:
        boxes["median box"] = median.tolist()
    values = {name: split_statistics(truths[name], boxes) for name in splits if name in truths}
    return {"median_of": list(median_of), "splits": values, "missing": missing, "boxes": boxes}


def split_statistics(split: summary.SplitTruths, boxes: dict[str, list[float]]) -> dict[str, Any]:
    """Return the statistics of a split with the scores of fixed boxes, as JSON values."""
    scores = {name: {"box": box, **summary.fixed_box_scores(split, np.array(box))} for name, box in boxes.items()}
    return summary.statistics(split) | {"baselines": scores}


def open_splits(config: ConfigDict, splits: Sequence[str]) -> Iterator[tuple[str, Source | UserError]]:
    """Yield the name of each split with its source, or with the error if it is missing. Raises UserError if all are missing."""
    num_errors = 0
    for split in splits:
        try:
            yield split, build.make_source(config.data, split, config.seed)
        except UserError as error:
            num_errors += 1
            if num_errors == len(splits):
                raise
            yield split, error


def show_data(
    data: str | Path | ConfigDict,
    out: str | Path,
    *,
    split: str = "train",
    count: int = 36,
    seed: int = 0,
    augmented: bool = False,
    **options: Any,
) -> Path:
    """Write a page (.html) or an image (.png) of `count` random images of a split with their true boxes, and return its path.

    `augmented` shows the first images of a training run of the config, as the model receives them.
    """
    if not 1 <= count <= MAX_COUNT or seed < 0:
        raise UserError(f"count must be from 1 to {MAX_COUNT} and seed at least 0, got count {count} and seed {seed}")
    if augmented and (not isinstance(data, ConfigDict) or split != "train"):
        raise UserError("augmented images need a config, whose augmentation they show, and the split train")
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    path = Path(out)
    sheet.check_out(path)
    config = data_config(data, **options)
    source = build.make_source(config.data, split, config.seed)
    if augmented:
        spec = build.make_input_spec(config.data, source.info.channels)
        augmentation = build.make_augmentation(config.data.augment, spec)
        examples = list(preview.training_examples(source, count, seed=seed, spec=spec, augmentation=augmentation))
        resize = f"{config.data.resize} to {spec.size[1]} x {spec.size[0]}"
        how = f"as in training with seed {seed}: augmentation {config.data.augment.name}, {resize}"
    else:
        examples = preview.random_examples(source, count, seed=seed, at_least=(sheet.SIDE, sheet.SIDE))
        how = f"chosen at random (seed {seed})"
    total = "endless" if source.info.endless else f"{len(source):,}"
    note = f"{len(examples)} of the {total} images of split {split}, {how}, with their true boxes"
    sheet.write_sheet(examples, source.info.classes, path, title=title(config), note=note)
    return path


def data_config(data: str | Path | ConfigDict, **options: Any) -> ConfigDict:
    """Return the config that selects the data: that of a folder with options of its source, or a config as it is."""
    if isinstance(data, ConfigDict):
        if options:
            raise UserError(f"{', '.join(options)}: options of a folder; a config has them in data.options")
        return data
    known = build.keyword_options(build.member("data.sources", "folder", "source"), but="seed")
    for option in options:
        if option not in known:
            raise unknown("folder option", option, [name for name in known if name != "folder"])
    config = schema.base()
    config.data.source = "folder"
    config.data.options = ConfigDict({**known, "folder": str(data), **options})
    return config


def title(config: ConfigDict) -> str:
    """Return the name of the data set for a title."""
    options = config.data.options
    return str(options.get("folder") if config.data.source == "folder" else options.get("name") or config.data.source)
