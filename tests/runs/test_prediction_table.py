"""Tables of predictions: written sorted, read completely, refused where they are stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from imgloc.errors import UserError
from imgloc.runs.prediction_table import meta_path, read_meta, read_rows, write_rows
from tests.refusals import assert_refused

META = {"config": "c0ffee", "step": 7}


def some_rows() -> list[dict[str, Any]]:
    return [{"id": f"{i:03d}", "label": i, "boxes": [[0.125, 0.25, 0.375, 0.5]] * (i % 3), "score": i / 4} for i in (5, 2, 9, 0)]


def test_rows_come_back_sorted_by_id(tmp_path: Path) -> None:
    path = tmp_path / "run" / "rows" / "test.jsonl"
    write_rows(path, some_rows(), META)
    rows = read_rows(path, expected=META)
    assert [row["id"] for row in rows] == ["000", "002", "005", "009"]
    assert rows == sorted(some_rows(), key=lambda row: row["id"])
    assert read_rows(path, expected={}) == rows
    meta = read_meta(path) or {}
    assert {key: meta[key] for key in meta if key != "fingerprint"} == {**META, "n": 4}


def test_pandas_reads_them_in_one_call(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", some_rows(), META)
    rows = read_rows(tmp_path / "test.jsonl", expected=META)
    table = pandas.read_json(tmp_path / "test.jsonl", lines=True, dtype={"id": str})
    assert table["id"].tolist() == [row["id"] for row in rows]
    assert table["boxes"].tolist() == [row["boxes"] for row in rows]
    assert table["score"].tolist() == [row["score"] for row in rows]


def test_rows_of_another_provenance_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run" / "rows" / "test.jsonl"
    write_rows(path, some_rows(), META)
    command = f"imgloc evaluate {tmp_path / 'run'}"
    assert_refused(lambda: read_rows(path, expected={**META, "step": 8}), "have step 7", "has 8", command)
    assert_refused(lambda: read_rows(path, expected={"checkpoint": "best"}), "checkpoint None")


def test_missing_and_incomplete_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run" / "rows" / "test.jsonl"
    assert_refused(lambda: read_rows(path, expected=META), "no rows")
    assert read_meta(path) is None
    write_rows(path, some_rows(), META)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert_refused(lambda: read_rows(path, expected=META), "incomplete: 3 of 4")
    path.write_text("".join(lines)[:-10])
    assert_refused(lambda: read_rows(path, expected=META), "incomplete")  # the last line cut off in its middle
    write_rows(path, some_rows(), META)
    meta_path(path).unlink()
    assert_refused(lambda: read_rows(path, expected=META), "no rows")


@pytest.mark.parametrize(("written", "changed"), [("0.125", '"wide"'), ("0.125, ", ""), ('"boxes"', '"boxed"'), ("0.25", "0.35")])
def test_rows_that_were_edited_are_refused(written: str, changed: str, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    write_rows(path, some_rows(), META)
    path.write_text(path.read_text().replace(written, changed, 1))
    assert_refused(lambda: read_rows(path, expected=META), "changed after they were written", "run: imgloc evaluate")
    meta = {key: value for key, value in (read_meta(path) or {}).items() if key != "fingerprint"}
    meta_path(path).write_text(json.dumps(meta))  # as an earlier version wrote it
    assert len(read_rows(path, expected=META)) == 4


def test_new_rows_never_have_old_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "test.jsonl"
    write_rows(path, some_rows(), META)
    seen = []
    from imgloc.runs import prediction_table as module

    real = module.files.write_text

    def watch(where: Path, text: str) -> None:
        seen.append((where.name, meta_path(path).exists()))
        real(where, text)

    monkeypatch.setattr(module.files, "write_text", watch)
    write_rows(path, some_rows()[:2], {**META, "step": 8})
    assert seen[0] == ("test.jsonl", False)
    assert len(read_rows(path, expected={"step": 8})) == 2


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="NaN or infinite"):
        write_rows(tmp_path / "test.jsonl", [{"id": "a", "score": float("nan")}], META)
    assert read_meta(tmp_path / "test.jsonl") is None
    write_rows(tmp_path / "empty.jsonl", [], META)
    assert read_rows(tmp_path / "empty.jsonl", expected=META) == []
