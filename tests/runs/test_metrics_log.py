"""Reading metrics.jsonl: a last line that was cut off is left out, any other damage is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgloc.runs.metrics_log import read_metrics
from tests.refusals import assert_refused

RECORDS = [{"step": 1, "kind": "train", "loss": 0.5}, {"step": 2, "kind": "validation"}]
LINES = ['{"step": 1, "kind": "train", "loss": 0.5}', '{"step": 2, "kind": "validation"}']


def test_a_missing_log_has_no_records(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes("\n".join([*LINES, '{"step": 3, "ki']).encode() + b"\xff")
    assert read_metrics(path) == RECORDS
    path.write_text("\n".join(LINES) + "\n")
    assert read_metrics(path) == RECORDS


@pytest.mark.parametrize("line", ["[1]", '{"step": "1", "kind": "train"}', '{"step": 1}', "", "[" * 100_000])
def test_any_other_damaged_line_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([LINES[0], line, LINES[1]]) + "\n")
    assert_refused(lambda: read_metrics(path), "line 2", "metrics.jsonl")
