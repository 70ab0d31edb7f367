"""The Markdown tables of an experiment from its results.json."""

from __future__ import annotations

from collections.abc import Iterator

from imgloc.experiments.columns import done, values_of
from imgloc.experiments.declared import Column, Experiment, Json, Runs, Table


def tables_text(experiment: Experiment, results: Json) -> str:
    """Return all tables and texts of an experiment, with an empty line between two of them."""
    return "\n\n".join(_table(experiment, table, results) if isinstance(table, Table) else table(results) for table in experiment.tables)


def _table(experiment: Experiment, table: Table, results: Json) -> str:
    head = "".join(f" {title} |" if title else " |" for title in (table.first_column, *(column.title for column in table.columns)))
    lines, tabulated = [f"|{head}", "|---" * (len(table.columns) + 1) + "|"], []
    for name, title in experiment.rows(table).items():
        columns = [(experiment.with_split(column, arm), arm) for column in table.columns for arm in [name.replace("{}", column.arm)]]
        by_arm = {arm: results.get("runs", {}).get(arm, []) for _, arm in columns}
        runs = [run for of_arm in by_arm.values() for run in done(of_arm)]
        if table.each_run:
            lines += [_row(f"{title}, seed {run['seed']}", [_cell(column, results, arm, [run]) for column, arm in columns]) for run in runs]
            lines += _baseline_rows(table, runs, f"{title.split(': ')[0]}: ")
        elif runs or table.unfinished:
            count = len({run["seed"] for run in runs})
            seeds = f"{count} seed{'s' if count > 1 else ''}"
            cells = [_cell(column, results, arm, by_arm[arm]) for column, arm in columns]
            lines.append(_row(title.replace("{seeds}", seeds), cells))
        tabulated += runs
    lines += [_row(str(title), cells) for title, *cells in (table.extra_rows(results) if table.extra_rows else ())]
    if not tabulated and not table.unfinished:
        return f"{table.first_column or 'table'}: no finished runs"
    if not table.each_run:
        lines += _baseline_rows(table, done(results.get("runs", {}).get(table.baselines_of, [])) if table.baselines_of else tabulated)
    return "\n".join([*lines, "", provenance_line(tabulated)] if table.show_provenance and tabulated else lines)


def _row(title: str, cells: list[str]) -> str:
    return f"| {title} |" + "".join(f" {cell} |" for cell in cells)


def _cell(column: Column, results: Json, name: str, runs: Runs) -> str:
    if name in column.hidden_for:
        return "-"
    if column.text is not None:
        return column.text(results, name, runs)
    return column.form(values_of(runs, column)) if column.form else ""


def _baseline_rows(table: Table, runs: Runs, prefix: str = "") -> Iterator[str]:
    """Yield the rows of the baselines, which are equal for all runs, from the first run that has them; a title has one row."""
    has_row = set[str]()
    for key, title in table.baselines.items():
        run = next((run for run in runs if run["results"].get(key)), None)
        if run is not None and title not in has_row:
            has_row.add(title)
            of_baseline = {"results": {column.split: run["results"][key] for column in table.columns}}
            cells = [_baseline_cell(table, column, of_baseline) for column in table.columns]
            yield f"| {prefix}{title} |" + "".join(cells)


def _baseline_cell(table: Table, column: Column, of_baseline: Json) -> str:
    if not column.metric:
        return f"{table.baseline_blank}|"
    return f" {_cell(column, {}, '', [of_baseline]) if column.in_baseline_rows else ''} |"


def provenance_line(runs: Runs) -> str:
    """Return a line with the commits, machines and versions that made some runs."""
    sessions = {(session["commit"], session["dirty"]) for run in runs for session in (run, *run.get("went_on", ()))}
    commits = ", ".join(sorted(commit[:7] + (" (changed)" if dirty else "") for commit, dirty in sessions))
    machines = sorted({f"{run['machine']}; JAX {run['jax']}, Python {run['python']}" for run in runs})
    return f"Commits {commits}; {'; '.join(machines)}."
