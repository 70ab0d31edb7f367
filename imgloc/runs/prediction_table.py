"""Rows: one JSON object an example, the hinge between running a model and everything reported of it.

    id, group, split       the example (types.Example)
    label, boxes, labels   its truth: class; boxes xyxy in [0, 1], largest first; their classes
    top_labels, top_scores the up to 5 likeliest classes and their probabilities, likeliest first
    pred_box               the predicted box, xyxy in [0, 1] (tasks that locate)
    read                   the predicted classes of the objects from left to right (task read)
    looks                  the windows that a model looked through, in their order, xyxy as boxes are, beyond [0, 1] where it looked
                           beyond the image, rounded (models that look around)

`<name>.jsonl` holds them sorted by id, readable by `pandas.read_json(path, lines=True)`; beside it
`<name>.meta.json` says what they were made of. Rows of another config, checkpoint or data are refused, and those that were changed since.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.errors import UserError
from imgloc.types import Row

PREDICTORS = ("model", "whole_image", "median_box")  # the run's own, and the baselines beside it


def write_rows(path: Path, rows: Sequence[Row], meta: dict[str, Any]) -> None:
    """Write rows sorted by id, and what they were made of beside them."""
    ordered = sorted(rows, key=lambda row: str(row["id"]))
    meta_path(path).unlink(missing_ok=True)  # no moment at which new rows stand beside old provenance
    try:
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in ordered)
    except ValueError as error:
        raise UserError(f"rows for {path} hold an answer that is no number (nan or inf)") from error
    files.write_text(path, text)
    files.write_json(meta_path(path), {**meta, "n": len(ordered), "fingerprint": files.fingerprint(text)})


def meta_path(path: Path) -> Path:
    """Where the provenance of a rows file lies."""
    return path.with_suffix(".meta.json")


def read_meta(path: Path) -> dict[str, Any] | None:
    """What a rows file was made of; None where there are no whole rows."""
    if not path.exists() or not meta_path(path).exists():
        return None
    try:
        meta = files.read_json(meta_path(path))
    except (OSError, ValueError):
        return None  # damaged: as good as none
    return meta if isinstance(meta, dict) and "n" in meta else None


def read_rows(path: Path, *, expected: dict[str, Any]) -> list[Row]:
    """The rows of a file whose provenance holds every entry of `expected`.

    Raises UserError where they are missing, incomplete, made of something else, or not as they were written.
    """
    meta = read_meta(path)
    if meta is None:
        raise UserError(f"no rows at {path}; run: imgloc evaluate {path.parent.parent}")
    for key, value in expected.items():
        if meta.get(key) != value:
            raise UserError(
                f"rows at {path} were made of {key} {meta.get(key)}, this run has {value}; run: imgloc evaluate {path.parent.parent}"
            )
    try:
        text = path.read_text()
        rows: list[Row] = [json.loads(line) for line in text.splitlines()]
    except ValueError as error:
        raise UserError(f"rows at {path} are incomplete: {error}; run imgloc evaluate again") from error
    if len(rows) != meta["n"]:
        raise UserError(f"rows at {path} are incomplete: {len(rows)} of {meta['n']}; run imgloc evaluate again")
    if "fingerprint" in meta and meta["fingerprint"] != files.fingerprint(text):  # rows of earlier versions have none
        raise UserError(f"rows at {path} were changed since they were made; run imgloc evaluate again")
    return rows


def best_median_worst(values: Sequence[float], count: int) -> dict[str, list[int]]:
    """Positions of the `count` best, most median and worst values (best = largest), ties by position."""
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    middle = max(0, len(order) // 2 - count // 2)
    return {"best": order[:count], "median": order[middle : middle + count], "worst": order[::-1][:count]}
