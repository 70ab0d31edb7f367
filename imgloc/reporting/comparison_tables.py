"""The table of a comparison of groups of runs: as cells, and as text in Markdown, CSV, LaTeX and HTML."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from imgloc.evaluation.group_comparison import WITHOUT_TEST, GroupComparison, GroupDifference, Level
from imgloc.evaluation.power import POWER, Needed

FORMATS = ("markdown", "csv", "latex", "html")
ABOUT = {"images": "other images", "seeds": "other seeds", "both": "other seeds and images"}
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    character: f"\\{character}" for character in "&%$#_{}"
}


class Table(NamedTuple):
    """Titles, rows of cells, and lines that explain them. The first `texts` columns are names, the others numbers."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]
    texts: int = 2


def comparison_table(found: GroupComparison) -> Table:
    """Returns a row for each metric and group, with the difference from the first group."""
    first = next(iter(found.runs))
    has_needed = any(each.needed for groups in found.differences.values() for each in groups.values())
    titles = ["metric", "group", "runs", "value"]
    if len(found.runs) > 1:
        titles += [f"minus {first}", "p", "verdict", "smallest", *(["seeds", "images"] if has_needed else [])]
    rows = []
    for key, levels in found.levels.items():
        for name, level in levels.items():
            difference = found.differences.get(key, {}).get(name)
            cells = [key, name, str(found.runs[name]), _value(level, found.over)]
            if len(found.runs) > 1:
                cells += _difference(difference, found.over, has_needed) if difference else [""] * (len(titles) - len(cells))
            rows.append(cells)
    return Table(titles, rows, notes(found, has_needed))


def notes(found: GroupComparison, has_needed: bool) -> list[str]:
    """Returns lines that explain the table."""
    lines = [f"value: mean of the runs [95 % interval for {ABOUT[found.over]}], on {found.images:,} images"]
    if len(found.runs) > 1:
        tests = sum(map(len, found.differences.values()))
        test = "permutation test, paired by images" if found.over == "images" else "t test"
        lines += [
            f"p: {test}, for {ABOUT[found.over]}, corrected for {tests} test{'s' * (tests > 1)} (Holm); a verdict needs p < 0.05",
            "smallest: the smallest difference that these runs would show with a probability of 0.8",
        ]
    if any(each.verdict == WITHOUT_TEST for groups in found.differences.values() for each in groups.values()):
        lines.append(f"{WITHOUT_TEST}: all runs of a group are equal, so that nothing is known of other seeds; use --over images")
    if has_needed:
        size = next(each.needed.difference for groups in found.differences.values() for each in groups.values() if each.needed)
        lines.append(
            f"seeds (in each group), images: the number needed to detect a difference of {size:g} with probability {POWER} if the other "
            "number stays the same; -: no number is enough, or it does not apply"
        )
    return lines


def _value(level: Level, over: str) -> str:
    interval = level.intervals.get(over)
    return f"{level.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]" if interval else f"{level.mean:.3f}"


def _difference(difference: GroupDifference, over: str, has_needed: bool) -> list[str]:
    test = difference.tests.get(over)
    interval = f" [{test.low:+.3f}, {test.high:+.3f}]" if test else ""
    p, smallest = (p_text(test.p_corrected), f"{test.smallest:.3f}") if test else ("-", "-")
    cells = [f"{difference.value:+.3f}{interval}", p, difference.verdict, smallest]
    return [*cells, *(_needed(difference.needed) if has_needed else ())]


def p_text(p: float) -> str:
    """Returns a p value with three decimals."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _needed(needed: Needed | None) -> list[str]:
    return ["-" if count is None else f"{count:,}" for count in ((needed.seeds, needed.images) if needed else (None, None))]


def records(found: GroupComparison) -> list[dict[str, object]]:
    """Returns the numbers of the table: a record for each metric and group. Those of a difference are None for the first group."""
    every = []
    for key, levels in found.levels.items():
        for name, level in levels.items():
            interval = level.intervals.get(found.over)
            record: dict[str, object] = {
                "metric": key, "group": name, "runs": found.runs[name], "images": found.images, "over": found.over,
                "mean": level.mean, **{end: getattr(interval, end, None) for end in ("low", "high")},
            }  # fmt: skip
            difference = found.differences.get(key, {}).get(name)
            test = difference.tests.get(found.over) if difference else None
            record |= {
                "difference": difference.value if difference else None,
                **{f"difference_{end}": getattr(test, end, None) for end in ("low", "high")},
                **{field: getattr(test, field, None) for field in ("p", "p_corrected", "smallest")},
                "verdict": difference.verdict if difference else None,
            }
            if difference and difference.needed:
                record |= {"seeds_needed": difference.needed.seeds, "images_needed": difference.needed.images}
            every.append(record)
    return every


def as_text(found: GroupComparison, form: str) -> str:
    """Returns the table in one of FORMATS; CSV has the numbers with all digits."""
    writers = {"markdown": as_markdown, "latex": as_latex, "html": as_html}
    return as_csv(records(found)) if form == "csv" else writers[form](comparison_table(found))


def as_markdown(table: Table) -> str:
    """Returns the table in Markdown, its notes as a list below."""
    rows = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in (table.titles, *table.rows)]
    rule = "".join("---|" if i < table.texts else "---:|" for i in range(len(table.titles)))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{rule}", *lines[1:], "", *(f"- {note}" for note in table.notes), ""])


def as_latex(table: Table) -> str:
    """Returns a tabular for the package booktabs, its notes as comments above."""
    rows = ["  " + " & ".join(map(_latex, row)) + r" \\" for row in (table.titles, *table.rows)]
    columns = "l" * table.texts + "r" * (len(table.titles) - table.texts)
    body = [rows[0], r"  \midrule", *rows[1:]]
    comments = [f"% {note}" for note in table.notes]
    return "\n".join([*comments, rf"\begin{{tabular}}{{{columns}}}", r"  \toprule", *body, r"  \bottomrule", r"\end{tabular}", ""])


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


def as_html(table: Table) -> str:
    """Returns a table element, its notes as the caption."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in table.titles)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    caption = "<br>".join(html.escape(note) for note in table.notes)
    return f"<table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def as_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Returns records as CSV; the columns are those of all records."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
