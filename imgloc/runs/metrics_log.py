"""Reading metrics.jsonl, the log of training losses and validation metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records {"step", "kind": "train" or "validation", ...}; [] where the file does not exist.

    Lines that are not valid records are skipped, such as a last line that was cut off when the process was killed.
    """
    if not path.exists():
        return []
    records: list[dict[str, Any]] = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int) and isinstance(record.get("kind"), str):
            records.append(record)
    return records
