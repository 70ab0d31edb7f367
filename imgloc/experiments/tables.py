"""The Markdown tables of an experiment from its results.json."""

from __future__ import annotations

from collections.abc import Iterator

from imgloc.experiments.columns import done, values_of
from imgloc.experiments.declared import Column, Experiment, Json, Runs, Table


def tables_text(experiment: Experiment, results: Json) -> str:
    """Return all tables and texts of an experiment, with an empty line between two of them."""
    return "\n\n".join(_table(experiment, table, results) if isinstance(table, Table) else table(results) for table in experiment.tables)


def _table(experiment: Experiment, table: Table, results: Json) -> str:
    head = "".join(f" {title} |" if title else " |" for title in (table.head, *(column.title for column in table.columns)))
    lines, tabulated = [f"|{head}", "|---" * (len(table.columns) + 1) + "|"], []
    for name, title in experiment.rows(table).items():
        columns = [(experiment.resolved(column, arm), arm) for column in table.columns for arm in [name.replace("{}", column.of)]]
        by_arm = {arm: results.get("runs", {}).get(arm, []) for _, arm in columns}
        runs = [run for of_arm in by_arm.values() for run in done(of_arm)]
        if table.each_run:
            lines += [_row(f"{title}, seed {run['seed']}", [_cell(column, results, arm, [run]) for column, arm in columns]) for run in runs]
            lines += _fixed(table, runs, f"{title.split(': ')[0]}: ")
        elif runs or table.unfinished:
            seeds = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
            cells = [_cell(column, results, arm, by_arm[arm]) for column, arm in columns]
            lines.append(_row(title.replace("{seeds}", seeds), cells))
        tabulated += runs
    lines += [_row(str(title), cells) for title, *cells in (table.more(results) if table.more else ())]
    if not tabulated and not table.unfinished:
        return f"{table.head or 'table'}: no finished runs"
    if not table.each_run:
        lines += _fixed(table, done(results["runs"].get(table.fixed_of, [])) if table.fixed_of else tabulated)
    return "\n".join([*lines, "", made_by(tabulated)] if table.made_by and tabulated else lines)


def _row(title: str, cells: list[str]) -> str:
    return f"| {title} |" + "".join(f" {cell} |" for cell in cells)


def _cell(column: Column, results: Json, name: str, runs: Runs) -> str:
    if name in column.without:
        return "-"
    if column.text is not None:
        return column.text(results, name, runs)
    return column.form(values_of(runs, column)) if column.form else ""


def _fixed(table: Table, runs: Runs, prefix: str = "") -> Iterator[str]:
    """Yield the rows of fixed boxes, which are the same for all runs, from the first run that has them."""
    for key, title in table.fixed.items():
        run = next((run for run in runs if run["results"].get(key)), None)
        if run is not None:
            at_fixed = {"results": {column.split: run["results"][key] for column in table.columns}}
            cells = [
                f" {_cell(column, {}, '', [at_fixed]) if column.fixed else ''} |" if column.metric else f"{table.blank}|"
                for column in table.columns
            ]
            yield f"| {prefix}{title} |" + "".join(cells)


def made_by(runs: Runs) -> str:
    """Return a line with the commits, machine and versions that made some runs."""
    first = runs[0]
    sessions = {(session["commit"], session["dirty"]) for run in runs for session in (run, *run.get("went_on", ()))}
    commits = ", ".join(sorted(commit[:7] + (" (changed)" if dirty else "") for commit, dirty in sessions))
    return f"Commits {commits}; {first['machine']}; JAX {first['jax']}, Python {first['python']}."
