"""Reading metrics.jsonl, the log of training losses and validation metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imgloc.errors import UserError


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records {"step", "kind": "train" or "validation", ...}; [] where the file does not exist.

    A last line that was cut off when the process was killed is left out. Raises UserError for any other line that is not a record.
    """
    if not path.exists():
        return []
    records: list[dict[str, Any]] = []
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        record = _record(line)
        if record is not None:
            records.append(record)
        elif number < len(lines) or text.endswith("\n"):
            raise UserError(f"line {number} of '{path}' is damaged; restore the file, or train again with another --workdir")
    return records


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
    is_record = isinstance(record, dict) and isinstance(record.get("step"), int) and isinstance(record.get("kind"), str)
    return record if is_record else None
