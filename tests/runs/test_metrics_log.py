"""Reading metrics.jsonl: damaged lines are skipped."""

from __future__ import annotations

from pathlib import Path

from imgloc.runs.metrics_log import read_metrics


def test_a_missing_log_has_no_records(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_lines_that_are_not_records_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    records = [{"step": 1, "kind": "train", "loss": 0.5}, {"step": 2, "kind": "validation"}]
    lines = ['{"step": 1, "kind": "train", "loss": 0.5}', "[1]", '{"step": "1", "kind": "train"}', '{"step": 1}',
             '{"step": 2, "kind": "validation"}', '{"step": 3, "ki']  # fmt: skip
    path.write_bytes("\n".join(lines).encode() + b"\xff")
    assert read_metrics(path) == records
