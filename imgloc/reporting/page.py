"""The report: one self-contained HTML file that loads nothing from the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgloc import files
from imgloc.config import schema as configs
from imgloc.errors import UserError
from imgloc.interfaces import Metric
from imgloc.reporting import curves, partial_predictions, tables
from imgloc.reporting.confusion import MAX_CLASSES, confusion
from imgloc.reporting.differences import differences, signed_cell
from imgloc.reporting.explanations import explanation_table
from imgloc.reporting.film_strips import films
from imgloc.reporting.gallery import gallery
from imgloc.reporting.load import RunReport, load_run, unique_labels
from imgloc.reporting.templates import render


@dataclass(frozen=True)
class Summary:
    """The head of the page for one run: its name, facts such as its model, and its headline metrics.

    `best` has the keys of the metrics in which no other run is better.
    """

    label: str
    facts: list[tuple[str, str]]
    headlines: list[tuple[Metric, tables.Cell | None]]
    best: frozenset[str]


def write_report(runs: Sequence[str], out: Path, *, split: str = "test", pictures: Path | None = None) -> Path:
    """Write the report of evaluated runs on a split as a self-contained HTML file; returns its path. Equal runs give equal bytes.

    If `pictures` is a folder, each animation is also written there as an SVG file. Raises UserError if a folder is not a run, its
    rows are missing or outdated, `out` does not end in .html, or `pictures` is a file or has files that imgloc did not write.
    """
    if not runs:
        raise UserError("a report needs at least one run folder")
    if out.suffix.lower() not in (".html", ".htm") or (out.exists() and not out.is_file()):
        reason = "is a folder" if out.is_dir() else "is not the name of a web page"
        raise UserError(f"--out '{out}' {reason}; expected a file name that ends in .html")
    files.check_writable(out.parent)
    if pictures is not None:
        if pictures.exists() and not pictures.is_dir():
            raise UserError(f"--pictures '{pictures}' is a file; expected a folder")
        files.check_writable(pictures)
    reports = [load_run(path, label, split) for path, label in zip(runs, unique_labels(runs), strict=True)]
    page = render("page.html.j2", **_content(reports, split))
    if pictures is not None:
        _write_pictures(reports, pictures)
    files.write_text(out, page)  # last, so that no page is left behind by an error
    return out


def _write_pictures(reports: Sequence[RunReport], folder: Path) -> None:
    prefixes = [f"{report.label}-" if len(reports) > 1 else "" for report in reports]
    written = [partial_predictions.write_pictures(report, folder, prefix) for report, prefix in zip(reports, prefixes, strict=True)]
    if not any(written):
        paths = " ".join(str(report.run.path) for report in reports)
        hint = "run: imgloc evaluate RUN --partial-predictions ID, for a model with partial predictions"
        raise UserError(f"--pictures: {paths} has no saved partial predictions; {hint}")


def _content(reports: Sequence[RunReport], split: str) -> dict[str, object]:
    """The variables of the template."""
    columns = tables.result_columns(reports)
    run_key = [(report.label, curves.run_style(i)) for i, report in enumerate(reports)]
    same_data = all(report.model.meta.get("data") == reports[0].model.meta.get("data") for report in reports)
    headlines = tables.headline_metrics(reports)
    best = tables.best_runs(reports, headlines) if same_data else {}
    baselines = tables.baselines(reports)
    losses, others = curves.training_charts(reports)
    thresholds = curves.threshold_charts(reports, baselines)
    figures = [(report.label, partial_predictions.figures(report, index)) for index, report in enumerate(reports)]
    videos = [(report.label, films(report, index)) for index, report in enumerate(reports)]
    galleries = [(report.label, gallery(report)) for report in reports]
    results = tables.result_rows(reports, columns)
    paired = differences(reports) if same_data else {}
    return {
        "split": reports[0].split if len({report.split for report in reports}) == 1 else split,
        "several": len(reports) > 1,
        "task_summaries": list(dict.fromkeys(report.task.summary for report in reports)),
        "rankings": list(dict.fromkeys(report.task.gallery_order for report in reports)),
        "comparison": [_summary(report, headlines, {key for key, labels in best.items() if report.label in labels}) for report in reports],
        "same_data": same_data,
        "differences": [(label, [signed_cell(metric, found.get(metric.key)) for metric in headlines]) for label, found in paired.items()],
        "bootstrap_samples": sorted({report.config.eval.bootstrap_samples for report in reports}),
        "columns": columns,
        "results": results,
        "meanings": [metric for metric, _ in results if metric.meaning],
        "run_key": run_key,
        "charts": losses,
        "other_charts": others,
        "threshold_charts": thresholds,
        "threshold_key": [*run_key, *((title, curves.baseline_style(i)) for i, (title, _, _) in enumerate(baselines))],
        "headline_metrics": headlines,
        "slice_tables": tables.slice_tables(reports),
        "confusions": [matrix for matrix in map(confusion, reports, range(len(reports))) if matrix is not None],
        "max_classes": MAX_CLASSES,
        "galleries": galleries,
        "heat_maps": any(each.heat_map for _, shown in galleries for examples in shown.values() for each in examples),
        "box_kinds": {box.kind for _, shown in galleries for examples in shown.values() for each in examples for box in each.boxes},
        "explanations": [table for table in map(explanation_table, reports) if table is not None],
        "partial_predictions": [(label, shown) for label, shown in figures if shown],
        "videos": [(label, shown) for label, shown in videos if shown],
        "outlines": {kind for _, shown in figures for figure in shown for kind in figure.outlines},
        "configs": tables.settings([configs.to_json(report.config) for report in reports]),
        "provenances": tables.settings([report.provenance for report in reports]),
        "labels": [report.label for report in reports],
    }


def _summary(report: RunReport, metrics: Sequence[Metric], best: Iterable[str]) -> Summary:
    meta, provenance = report.model.meta, report.provenance
    facts = [("model", str(report.config.model.name)), ("data", str(report.config.data.source))]
    if meta.get("step") is not None:
        facts.append(("checkpoint", f"{meta.get('checkpoint', '')} (step {meta['step']})".strip()))
    skipped = f", {meta['skipped']:,} skipped" if meta.get("skipped") else ""
    facts.append(("images", f"{len(report.model.rows):,}{skipped}"))
    if provenance.get("commit") not in (None, "unknown"):
        facts.append(("commit", str(provenance["commit"])[:10] + (", with uncommitted changes" if provenance.get("dirty") else "")))
    headlines = [(metric, tables.cell(metric, report.model.intervals.get(metric.key))) for metric in metrics]
    return Summary(report.label, facts, headlines, frozenset(best))
