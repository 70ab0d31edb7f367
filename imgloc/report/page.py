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
from imgloc.report import curves, partial_predictions, tables, terms
from imgloc.report.confusion import SHOWN, confusion
from imgloc.report.gallery import gallery
from imgloc.report.load import RunReport, load_run, unique_labels

TEMPLATE = Path(__file__).with_name("page.html.j2")
HEADLINES = ("top1", "mean_iou", "top1_loc_50")


@dataclass(frozen=True)
class Summary:
    """What stands first of a run: its name, its facts and its main numbers."""

    label: str
    facts: list[tuple[str, str]]
    headlines: list[tuple[str, terms.Cell, bool]]


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
        possible = "imgloc evaluate RUN --steps ID, where the model has an output 'steps'"
        raise UserError(f"--pictures: no answers step by step were kept of {paths}; possible: {possible}")


def _content(reports: Sequence[RunReport], split: str) -> dict[str, Any]:
    """Everything the template shows."""
    boxes = any(report.has_boxes for report in reports)
    located = [report for report in reports if report.has_boxes]
    columns = tables.result_columns(reports)
    lines = [curves.run_line(i) for i in range(len(reports))]
    shown = tables.baselines(located) if boxes else []
    losses, others = curves.training_charts(reports)
    figures = [(report.label, partial_predictions.figures(report, split, index)) for index, report in enumerate(reports)]
    return {
        "split": split,
        "several": len(reports) > 1,
        "boxes": boxes,
        "summaries": [_summary(report) for report in reports],
        "same_data": all(report.model.meta.get("data") == reports[0].model.meta.get("data") for report in reports),
        "resamples": sorted({report.config.eval.resamples for report in reports}),
        "columns": columns,
        "results": tables.result_rows(columns),
        "explanations": terms.explanations(metric for column in columns for metric in column.intervals),
        "run_key": [(report.label, *line) for report, line in zip(reports, lines, strict=True)],
        "charts": losses,
        "other_charts": others,
        "success": curves.success_charts(located, shown) if boxes else [],
        "success_key": [(report.label, *curves.run_line(i)) for i, report in enumerate(located)]
        + [(name, *curves.baseline_line(i)) for i, (name, _, _) in enumerate(shown)],
        "slice_metrics": tables.slice_metrics(reports),
        "classes": tables.class_rows(reports),
        "sizes": tables.size_rows(reports) if boxes else [],
        "confusions": [confusion(report, index) for index, report in enumerate(reports)],
        "shown_classes": SHOWN,
        "galleries": [(report.label, gallery(report, split)) for report in reports],
        "steps": [(label, found) for label, found in figures if found],
        "marks": {mark for _, found in figures for figure in found for mark in figure.marks},
        "configs": tables.settings([configs.to_json(report.config) for report in reports]),
        "provenances": tables.settings([report.provenance for report in reports]),
        "labels": [report.label for report in reports],
        "title_of": terms.title,
        "is_share": terms.is_share,
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
    found = [(metric, terms.cell(metric, report.model.intervals.get(metric))) for metric in HEADLINES]
    headlines = [(terms.title(metric), cell, terms.is_share(metric)) for metric, cell in found if cell is not None]
    return Summary(report.label, facts, headlines)


def _render(content: dict[str, Any]) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text()).render(content)
