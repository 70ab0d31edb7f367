"""The table of predictions: one row (a JSON object) for each example. Everything that is reported is computed from it.

Every row has `id`, `group` and `split` of its example, and `attributes` where the data set has them. The task of the run defines
the other columns; see `truth_columns` and `prediction_columns` of `imgloc.interfaces.Task`.

`<name>.jsonl` contains the rows sorted by id; `pandas.read_json(path, lines=True)` reads it. `<name>.meta.json` contains their
provenance. Rows of another config, checkpoint or data, and rows that were edited, are refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.errors import UserError
from imgloc.runs.run_dir import RunDir
from imgloc.types import Row


def write_rows(path: Path, rows: Sequence[Row], meta: dict[str, Any]) -> None:
    """Write rows sorted by id, and their provenance. Raises UserError where a row contains NaN or infinity."""
    ordered = sorted(rows, key=lambda row: str(row["id"]))
    meta_path(path).unlink(missing_ok=True)  # first, so that new rows never have old provenance
    try:
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in ordered)
    except ValueError as error:
        raise UserError(f"rows for {path} contain a prediction that is NaN or infinite") from error
    files.write_text(path, text)
    files.write_json(meta_path(path), {**meta, "n": len(ordered), "fingerprint": files.fingerprint(text)})


def meta_path(path: Path) -> Path:
    """Return the path of the provenance of a file of rows."""
    return path.with_suffix(".meta.json")


def read_meta(path: Path) -> dict[str, Any] | None:
    """Return the provenance of a file of rows; None where either file is missing or damaged."""
    if not path.exists() or not meta_path(path).exists():
        return None
    try:
        meta = files.read_json(meta_path(path))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) and "n" in meta else None


def read_rows(path: Path, *, expected: dict[str, Any]) -> list[Row]:
    """Return the rows of a file whose provenance contains every entry of `expected`.

    Raises UserError where the rows are missing, incomplete, of another provenance, or edited.
    """
    command = f"run: {RunDir(path.parent.parent).evaluate_command(path.name.split('.')[0])}"
    meta = read_meta(path)
    if meta is None:
        raise UserError(f"no rows at {path}; {command}")
    for key, value in expected.items():
        if meta.get(key) != value:
            raise UserError(f"rows at {path} have {key} {meta.get(key)}, this run has {value}; {command}")
    try:
        text = path.read_text()
        rows: list[Row] = [json.loads(line) for line in text.splitlines()]
    except (ValueError, RecursionError) as error:
        raise UserError(f"rows at {path} are incomplete: {error}; {command}") from error
    if len(rows) != meta["n"]:
        raise UserError(f"rows at {path} are incomplete: {len(rows)} of {meta['n']}; {command}")
    if "fingerprint" in meta and meta["fingerprint"] != files.fingerprint(text):  # earlier versions wrote none
        raise UserError(f"rows at {path} were changed after they were written; {command}")
    return rows
