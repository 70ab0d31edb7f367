"""Differences between the runs of a report."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from imgloc.evaluation.paired import compare
from imgloc.evaluation.scoring import metric_of
from imgloc.evaluation.statistics import Interval
from imgloc.reporting.differences import differences, signed_cell
from imgloc.reporting.load import load_run
from imgloc.reporting.page import write_report

MakeRun = Callable[..., Path]


def test_they_are_the_paired_differences_from_the_first_run(make_run: MakeRun) -> None:
    paths = {"bad": make_run("bad", wrong=0.5), "good": make_run("good", seed=1, wrong=0.05), "same": make_run("same", wrong=0.5)}
    reports = [load_run(str(path), label, "test") for label, path in paths.items()]
    found = differences(reports)
    assert list(found) == ["good", "same"]
    rows = [report.model.rows for report in reports]
    assert found["good"] == compare(rows[0], rows[1], reports[0].classes, reports[0].task, samples=50).differences
    assert found["good"]["top1"].low > 0
    assert {(each.mean, each.low, each.high) for each in found["same"].values()} == {(0.0, 0.0, 0.0)}


def test_runs_with_other_examples_or_another_task_have_none(make_run: MakeRun) -> None:
    paths = [make_run("a"), make_run("fewer", n=119), make_run("classes", boxes=False)]
    assert differences([load_run(str(path), path.name, "test") for path in paths]) == {}


def test_cells_have_signs() -> None:
    cells = [signed_cell(metric_of("top1"), Interval(mean, -0.0301, high, 9)) for mean, high in ((0.0123, 0.5), (0.0, 0.0001))]
    assert [(each.mean, each.range, each.left) for each in cells if each] == [("+1.2", "[-3.0, +50.0]", None), ("0.0", "[-3.0, 0.0]", None)]
    assert signed_cell(metric_of("top1"), None) is None


def test_the_page_shows_them_for_several_runs_of_the_same_data(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [str(make_run("bad", wrong=0.5)), str(make_run("good", seed=1, wrong=0.05))]
    text = write_report(runs, tmp_path / "two.html").read_text()
    table = text[text.index("Differences from bad") : text.index('<section id="results"')]
    (row,) = re.findall(r"<tbody>\s*(<tr>.*?</tr>)\s*</tbody>", table, re.DOTALL)
    assert ">good</th>" in row
    assert row.count('class="mean"') == 4
    assert '<td><span class="mean">+' in row
    assert "may be due to chance" not in text
    assert "Differences from" not in write_report(runs[:1], tmp_path / "one.html").read_text()
