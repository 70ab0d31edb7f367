"""The report: one HTML file that holds everything it shows and asks nothing of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from imgloc import files
from imgloc.config import schema as configs
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.interfaces import Metric
from imgloc.report import curves, partial_predictions, tables
from imgloc.report.confusion import SHOWN, confusion
from imgloc.report.gallery import gallery
from imgloc.report.load import RunReport, load_run, unique_labels

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Summary:
    """What stands first of a run: its name, its facts and its main numbers."""

    label: str
    facts: list[tuple[str, str]]
    headlines: list[tuple[Metric, tables.Cell]]


def write_report(runs: Sequence[str], out: Path, *, split: str = "test", pictures: Path | None = None) -> Path:
    """Write the report of run folders on a split they were evaluated on, as one self-contained HTML file; returns its path.

    Each animated picture in it is also written to the folder `pictures`, where there is one.
    The same runs give the same bytes. Raises UserError where a folder is no run, its rows are missing or stale, `out` is no web page,
    or `pictures` no folder, or one with files of other origin under the names of pictures.
    """
    if not runs:
        raise UserError("a report wants at least one run folder")
    if out.suffix.lower() not in (".html", ".htm") or (out.exists() and not out.is_file()):
        reason = "is a folder" if out.is_dir() else "is no place for a web page"
        raise UserError(f"--out '{out}' {reason}; possible: a file that ends in .html")
    files.check_writable(out.parent)
    if pictures is not None:
        if pictures.exists() and not pictures.is_dir():
            raise UserError(f"--pictures '{pictures}' is a file; it wants a folder")
        files.check_writable(pictures)
    reports = [load_run(path, label, split) for path, label in zip(runs, unique_labels(runs), strict=True)]
    page = _render(_content(reports, split))
    if pictures is not None:
        _write_pictures(reports, split, pictures)
    files.write_text(out, page)  # last, so that a refusal leaves none behind
    return out


def _write_pictures(reports: Sequence[RunReport], split: str, folder: Path) -> None:
    written = [
        partial_predictions.write_pictures(report, split, folder, f"{report.label}-" if len(reports) > 1 else "") for report in reports
    ]
    if not any(written):
        paths = " ".join(str(report.run.path) for report in reports)
        possible = "imgloc evaluate RUN --partial-predictions ID, for a model with partial predictions"
        raise UserError(f"--pictures: no partial predictions were saved in {paths}; possible: {possible}")


def _content(reports: Sequence[RunReport], split: str) -> dict[str, Any]:
    """Everything the template shows."""
    columns = tables.result_columns(reports)
    lines = [curves.run_line(i) for i in range(len(reports))]
    baselines = tables.baselines(reports)
    losses, others = curves.training_charts(reports)
    thresholds = curves.threshold_charts(reports, baselines)
    figures = [(report.label, partial_predictions.figures(report, split, index)) for index, report in enumerate(reports)]
    galleries = [(report.label, gallery(report, split)) for report in reports]
    results = tables.result_rows(reports, columns)
    return {
        "split": split,
        "several": len(reports) > 1,
        "task_summaries": list(dict.fromkeys(report.task.summary for report in reports)),
        "rankings": list(dict.fromkeys(report.task.ranking for report in reports)),
        "summaries": [_summary(report) for report in reports],
        "same_data": all(report.model.meta.get("data") == reports[0].model.meta.get("data") for report in reports),
        "bootstrap_samples": sorted({report.config.eval.bootstrap_samples for report in reports}),
        "columns": columns,
        "results": results,
        "explanations": [(metric.title, metric.meaning) for metric, _ in results if metric.meaning],
        "run_key": [(report.label, *line) for report, line in zip(reports, lines, strict=True)],
        "charts": losses,
        "other_charts": others,
        "threshold_charts": thresholds,
        "threshold_key": [(report.label, *curves.run_line(i)) for i, report in enumerate(reports)]
        + [(name, *curves.baseline_line(i)) for i, (name, _, _) in enumerate(baselines)],
        "slice_metrics": tables.headline_metrics(reports),
        "slice_tables": tables.slice_tables(reports),
        "confusions": [found for index, report in enumerate(reports) if (found := confusion(report, index)) is not None],
        "shown_classes": SHOWN,
        "galleries": galleries,
        "drawn_kinds": {box.kind for _, shown in galleries for examples in shown.values() for each in examples for box in each.boxes},
        "partial_predictions": [(label, shown) for label, shown in figures if shown],
        "marks": {mark for _, shown in figures for figure in shown for mark in figure.marks},
        "configs": tables.settings([configs.to_json(report.config) for report in reports]),
        "provenances": tables.settings([report.provenance for report in reports]),
        "labels": [report.label for report in reports],
    }


def _summary(report: RunReport) -> Summary:
    meta, provenance = report.model.meta, report.provenance
    facts = [("model", str(report.config.model.name)), ("data", str(report.config.data.source))]
    if meta.get("step") is not None:
        facts.append(("checkpoint", f"{meta.get('checkpoint', '')} (step {meta['step']})".strip()))
    skipped = f", {meta['skipped']:,} skipped" if meta.get("skipped") else ""
    facts.append(("images", f"{len(report.model.rows):,}{skipped}"))
    if provenance.get("commit") not in (None, "unknown"):
        facts.append(("commit", str(provenance["commit"])[:10] + (", with uncommitted changes" if provenance.get("dirty") else "")))
    metrics = [scoring.metric_of(key) for key in report.task.headline_metrics]
    headlines = [(metric, tables.cell(metric, report.model.intervals.get(metric.key))) for metric in metrics]
    return Summary(report.label, facts, [(metric, cell) for metric, cell in headlines if cell is not None])


def _render(content: dict[str, Any]) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text()).render(content)
