"""An answer as it forms: animated pictures of what a model would say after each step of reading an image."""

from __future__ import annotations

import base64
import struct
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup, escape

from imgloc import boxes, files, saved_steps
from imgloc.report.animation import Part, Timeline, joined, moving, only_where_wanted, switching
from imgloc.report.confusion import class_name
from imgloc.report.gallery import PNG, SMALL
from imgloc.report.load import RunReport
from imgloc.saved_steps import READ, SavedSteps
from imgloc.types import Row

WIDTH, PICTURE, GAP = 340, 172, 14  # of the whole, of the picture's longer side, between it and the bars
FRAMES = 6  # of the strip
ORDER = ("chosen", "best", "median", "worst")
VEIL = 0.82  # opacity over what has not been read
#: Colours where no page around it has them: those of the page, light and dark.
LIGHT = "--sheet:#ffffff;--ink:#1d1f23;--muted:#666a73;--grid:#e3e3df;--accent:#0b5f96;--true:#009e73;--predicted:#d55e00"
DARK = "--sheet:#1a1d21;--ink:#e7e7e3;--muted:#a0a4ad;--grid:#31353c;--accent:#68b1e4;--true:#1fc493;--predicted:#f58231"
SANS = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","Liberation Sans",Arial,sans-serif'


@dataclass(frozen=True)
class Figure:
    """The animated picture of one example, inline, and its caption."""

    id: str
    why: str
    svg: Markup


@dataclass(frozen=True)
class Shown:
    """What is drawn: the steps of an example, its row, its picture and the names of the classes."""

    steps: SavedSteps
    row: Row
    picture: bytes  # PNG
    names: dict[int, str]  # of all classes that are spoken of
    timeline: Timeline

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture as it is drawn."""
        width, height = struct.unpack(">II", self.picture[16:24])
        scale = PICTURE / max(width, height)
        return round(width * scale, 2), round(height * scale, 2)


def figures(report: RunReport, split: str, number: int) -> list[Figure]:
    """The animated pictures of a run, those that were asked for first; `number` keeps its names apart from those of other runs."""
    return [Figure(shown.steps.id, shown.steps.why, inline(shown)) for shown in _all_shown(report, split, number)]


def write_pictures(report: RunReport, split: str, folder: Path, prefix: str = "") -> list[Path]:
    """Write each animated picture as an SVG file of its own, PREFIX and the example's id its name; returns their paths."""
    written = []
    for shown in _all_shown(report, split, 0):
        path = folder / (urllib.parse.quote(prefix, safe="") + saved_steps.place(report.run, split, shown.steps.id).stem + ".svg")
        files.write_text(path, standalone(shown))
        written.append(path)
    return written


def _all_shown(report: RunReport, split: str, number: int) -> list[Shown]:
    rows = {str(row["id"]): row for row in report.model.rows}
    found = []
    kept = [steps for steps in saved_steps.read(report.run, split, report.model.meta) if steps.id in rows]
    for i, steps in enumerate(sorted(kept, key=lambda steps: (ORDER.index(steps.why) if steps.why in ORDER else len(ORDER), steps.id))):
        path = saved_steps.place(report.run, split, steps.id).with_suffix(".png")
        picture = path.read_bytes() if path.is_file() else b""
        if picture.startswith(PNG) and len(picture) > 24:
            row = rows[steps.id]
            names = {label: class_name(report, label) for label in (*steps.labels, *steps.top_labels, row["label"])}
            found.append(Shown(steps, row, picture, names, Timeline(f"steps-{number}-{i}", len(steps.seen))))
    return found


def inline(shown: Shown) -> Markup:
    """An `<svg>` element for the page, which takes its colours from it."""
    return Markup(_svg(shown, namespace="", style=""))


def standalone(shown: Shown) -> str:
    """A whole SVG file, for a README or for slides: its own colours, light or dark as the viewer's, on a ground of their own."""
    own = f"svg{{{LIGHT};--sans:{SANS}}}@media (prefers-color-scheme:dark){{svg{{{DARK}}}}}"
    ground = f'<rect x="-12" y="-12" width="{WIDTH + 24}" height="{_height(shown) + 24:g}" rx="10" style="fill:var(--sheet)"/>'
    return _svg(shown, namespace=' xmlns="http://www.w3.org/2000/svg"', style=own, ground=ground, margin=12) + "\n"


def _svg(shown: Shown, *, namespace: str, style: str, ground: str = "", margin: int = 0) -> str:
    name, (width, height) = shown.timeline.name, shown.size
    x, y = (PICTURE - width) / 2, (PICTURE - height) / 2
    whole = joined([
        Part(f'<g transform="translate({x:g} {y:g})">{_picture(shown)}'), _veil(shown), _boxes(shown), Part("</g>"),
        _answer(shown), _strip(shown),
    ])  # fmt: skip
    css = (
        f"{style}.{name}{{font-family:var(--sans)}}.{name} text{{fill:var(--ink)}}.{name} .m{{fill:var(--muted)}}"
        f".{name} .h{{stroke:#000;stroke-opacity:.55;stroke-width:4}}.{name} .h,.{name} .t,.{name} .p{{fill:none;vector-effect:non-scaling-stroke}}"
        f".{name} .t{{stroke:#10c08f;stroke-width:1.5}}.{name} .p{{stroke:#f06a00;stroke-width:2;stroke-dasharray:6 3}}"
        f".{name} .v{{fill:#4a545f;stroke:#4a545f;stroke-width:.06;vector-effect:none}}{only_where_wanted(whole.css)}"
    )
    title, told = _told(shown)
    box = f"{-margin} {-margin} {WIDTH + 2 * margin} {_height(shown) + 2 * margin:g}"
    return (
        f'<svg{namespace} class="{name}" viewBox="{box}" role="img" aria-label="{escape(title)}. {escape(told)}">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc><style>{css}</style>{ground}{whole.svg}</svg>"
    )


def _height(shown: Shown) -> float:
    return PICTURE + 40 + _frame_size(shown)[1] + 18


def _frame_size(shown: Shown) -> tuple[float, float]:
    scale = ((WIDTH + 6) / FRAMES - 6) / PICTURE
    return round(shown.size[0] * scale, 2), round(shown.size[1] * scale, 2)


def _told(shown: Shown) -> tuple[str, str]:
    """What it is, and what happens in it, for those who do not see it."""
    steps, count = shown.steps, len(shown.steps.seen)
    moments = ", ".join(
        f"after {i + 1} of {count} steps {shown.names[steps.top_labels[i]]} with {100 * steps.top_scores[i]:.0f} %" for i in _frames(shown)
    )
    overlap = _overlap(shown)
    where = f"; its box then has IoU {overlap:.2f}" if overlap is not None else ""
    return f"{steps.id}, true class {shown.names[shown.row['label']]}: the answer as it forms", f"{moments}{where}"


def _overlap(shown: Shown) -> float | None:
    truth, found = shown.row.get("boxes"), shown.steps.boxes
    return float(boxes.iou(np.asarray(truth), np.asarray(found[-1])).max()) if truth and found else None


def _frames(shown: Shown) -> list[int]:
    """The steps that the strip shows, evenly spaced, the last one among them."""
    count = len(shown.steps.seen)
    kept = min(FRAMES, count)
    return [-(-(i + 1) * count // kept) - 1 for i in range(kept)]


def _picture(shown: Shown) -> str:
    width, height = shown.size
    small = max(struct.unpack(">II", shown.picture[16:24])) < SMALL
    style = ' style="image-rendering:pixelated"' if small else ""
    data = base64.b64encode(shown.picture).decode()
    where = f'width="{width:g}" height="{height:g}" preserveAspectRatio="none"'
    return f'<image id="{shown.timeline.name}-image" {where}{style} href="data:image/png;base64,{data}"/>'


def _veil(shown: Shown) -> Part:
    """What hides what has not been read: a layer for each amount of reading that occurs, in it a path of the cells that lose it together.

    So an image that is read once by rows, once by columns is a layer of rows on one of columns, not cells each with a course of its own.
    """
    steps, parts = shown.steps, []
    for digit, alpha in _layers(steps):
        groups: dict[str, list[int]] = {}
        for cell in range(len(steps.seen[0])):
            groups.setdefault("".join("01"[step[cell] <= digit] for step in steps.seen), []).append(cell)
        paths = []
        for number, (course, cells) in enumerate((course, cells) for course, cells in groups.items() if "1" in course):
            name = f"v{digit}-{number}"
            path = f'<path class="v {shown.timeline.name}-{name}" d="{_cells(steps, cells)}" style="{_visible(course[-1] == "1")}"/>'
            paths.append(Part(path, switching(shown.timeline, name, [_visible(on == "1") for on in course]) if "0" in course else ""))
        svg, css = joined(paths)
        parts.append(Part(f'<g opacity="{alpha:g}">{svg}</g>', css))  # of all together: where they overlap it shows no seam
    svg, css = joined(parts)
    return Part(_over_picture(shown, svg), css)


def _visible(is_so: bool) -> str:
    return f"visibility:{'visible' if is_so else 'hidden'}"


def _layers(steps: SavedSteps) -> list[tuple[str, float]]:
    """Layers of the veil: one lies over what has been read up to a digit. Those that lie over a cell add up to what `_unread` says."""
    found, above = [], 0.0
    for digit in sorted({digit for step in steps.seen for digit in step if _unread(digit)}, reverse=True):
        found.append((digit, round(1 - (1 - _unread(digit)) / (1 - above), 3)))
        above = _unread(digit)
    return found


def _unread(digit: str) -> float:
    return round(VEIL * (1 - int(digit) / READ), 3)


def _over_picture(shown: Shown, svg: str) -> str:
    """Elements in units of the grid, laid over the part of it that the picture shows, and cut at its edges."""
    x0, y0, x1, y1 = shown.steps.content
    columns, rows = shown.steps.x[-1], shown.steps.y[-1]
    part = f"{x0 * columns:g} {y0 * rows:g} {(x1 - x0) * columns:g} {(y1 - y0) * rows:g}"
    width, height = shown.size
    return f'<svg width="{width:g}" height="{height:g}" viewBox="{part}" preserveAspectRatio="none">{svg}</svg>'


def _cells(steps: SavedSteps, cells: list[int]) -> str:
    """A path of cells of the grid, by number; those beside each other are one rectangle, and so are equal ones below each other."""
    columns = len(steps.x) - 1
    rectangles: dict[tuple[int, int, int], tuple[int, int]] = {}  # first and last column, row after the last -> first row, last one
    i = 0
    while i < len(cells):
        j = i
        while j + 1 < len(cells) and cells[j + 1] == cells[j] + 1 and cells[j + 1] % columns:
            j += 1
        left, right, row = cells[i] % columns, cells[j] % columns, cells[i] // columns
        top, _ = rectangles.pop((left, right, row), (row, row))
        rectangles[left, right, row + 1] = top, row
        i = j + 1
    x, y = steps.x, steps.y
    return "".join(
        f"M{x[left]} {y[top]}H{x[right + 1]}V{y[bottom + 1]}H{x[left]}z" for (left, right, _), (top, bottom) in rectangles.items()
    )


def _boxes(shown: Shown) -> Part:
    """The true boxes, and the predicted one as it moves."""
    width, height = shown.size
    drawn = [_rectangle(box, width, height) for box in shown.row.get("boxes", [])]
    true = "".join(f'<rect class="h" {box}/><rect class="t" {box}/>' for box in drawn) if shown.steps.boxes else ""
    if not shown.steps.boxes:
        return Part(true)
    moves = [_placed(box, width, height) for box in shown.steps.boxes]
    name = f"{shown.timeline.name}-b"
    last = moves[-1].replace("px", "")
    predicted = "".join(f'<rect class="{kind} {name}" width="1" height="1" transform="{last}"/>' for kind in "hp")
    return Part(true + predicted, moving(shown.timeline, "b", [f"transform:{move}" for move in moves]))


def _rectangle(box: list[float], width: float, height: float) -> str:
    x0, y0, x1, y1 = box
    return f'x="{x0 * width:.1f}" y="{y0 * height:.1f}" width="{(x1 - x0) * width:.1f}" height="{(y1 - y0) * height:.1f}"'


def _placed(box: list[float], width: float, height: float) -> str:
    """What moves a square of side 1 onto a box."""
    x0, y0, x1, y1 = box
    return f"translate({x0 * width:.1f}px,{y0 * height:.1f}px) scale({(x1 - x0) * width:.1f},{(y1 - y0) * height:.1f})"


def _answer(shown: Shown) -> Part:
    """Beside the picture: the likeliest class as it changes, bars of the likeliest ones, and how many steps have been taken."""
    steps, count = shown.steps, len(shown.steps.seen)
    room = WIDTH - PICTURE - GAP
    heads = [f"{_short(shown.names[k], 14)} <tspan class='m' font-size='12' font-weight='400'>{100 * p:.0f} %</tspan>"
             for k, p in zip(steps.top_labels, steps.top_scores, strict=True)]  # fmt: skip
    size = 22 if max(len(name) for name in shown.names.values()) < 4 else 15
    parts = [_changing(shown, "a", heads, f'y="18" font-size="{size}" font-weight="600"')]
    parts.append(_changing(shown, "n", [f"step {i + 1} of {count}" for i in range(count)], f'y="{PICTURE - 1}" font-size="11" class="m"'))
    high = (PICTURE - 50) / max(len(steps.labels), 1)
    narrow = max(len(shown.names[k]) for k in steps.labels) < 4
    for number, label in enumerate(steps.labels):
        y = 34 + number * high
        true = label == shown.row["label"]
        style = ' style="fill:var(--true);font-weight:600"' if true else ""
        name = f'<text y="{y + 9:g}" font-size="{11 if narrow else 9.5:g}"{style}>{_short(shown.names[label], 24)}</text>'
        left, top, wide, thick = (26, y + 1, room - 26, 8) if narrow else (0, y + 12, room, 4)
        last = max(0.001, steps.probabilities[-1][number])
        bar = f'<rect width="{wide}" height="{thick}" style="fill:var(--grid)"/>'
        bar += f'<rect class="{shown.timeline.name}-k{number}" width="{wide}" height="{thick}" transform="scale({last:g} 1)"'
        bar += f' style="fill:var(--{"true" if true else "accent"})"/>'
        grows = [f"transform:scaleX({max(0.001, row[number]):.3g})" for row in steps.probabilities]
        parts.append(Part(f'{name}<g transform="translate({left} {top:g})">{bar}</g>', moving(shown.timeline, f"k{number}", grows)))
    svg, css = joined(parts)
    return Part(f'<g transform="translate({PICTURE + GAP} 0)">{svg}</g>', css)


def _changing(shown: Shown, name: str, texts: list[str], attributes: str) -> Part:
    """A text that is another at each step: one element for each run of steps with the same."""
    begins = [i for i, text in enumerate(texts) if i == 0 or text != texts[i - 1]]
    parts = []
    for number, i in enumerate(begins):
        end = begins[number + 1] if number + 1 < len(begins) else len(texts)
        full = f"{name}{number}"
        shows = [_visible(i <= step < end) for step in range(len(texts))]
        hidden = "" if end == len(texts) else f' style="{_visible(False)}"'
        one = attributes.replace('class="', f'class="{shown.timeline.name}-{full} ') if 'class="' in attributes else (
            f'{attributes} class="{shown.timeline.name}-{full}"'
        )  # fmt: skip
        css = switching(shown.timeline, full, shows) if len(begins) > 1 else ""
        parts.append(Part(f"<text {one}{hidden}>{texts[i]}</text>", css))
    return joined(parts)


def _strip(shown: Shown) -> Part:
    """Below: how far it has come, and a few of the steps that stand still."""
    count, name = len(shown.steps.seen), shown.timeline.name
    width, height = _frame_size(shown)
    space = (WIDTH + 6) / FRAMES
    used = len(_frames(shown)) * space - 6
    grows = [f"transform:scaleX({(i + 1) / count:.4g})" for i in range(count)]
    track = f'<rect width="{used:g}" height="3" style="fill:var(--grid)"/>'
    track += f'<rect class="{name}-r" width="{used:g}" height="3" style="fill:var(--muted)"/>'
    drawn = [f'<g transform="translate(0 {PICTURE + 16})">{track}']
    for place, step in enumerate(_frames(shown)):
        left = place * space + (space - 6 - width) / 2
        drawn.append(f'<g transform="translate({left:g} 11)">{_frame(shown, step, width, height)}</g>')
    return Part("".join(drawn) + "</g>", moving(shown.timeline, "r", grows))


def _frame(shown: Shown, step: int, width: float, height: float) -> str:
    """One step, small: the picture, the veil over it, the box and the class."""
    steps, scale = shown.steps, width / shown.size[0]
    digits: dict[str, list[int]] = {}
    for cell, digit in enumerate(steps.seen[step]):
        digits.setdefault(digit, []).append(cell)
    veil = "".join(
        f'<path class="v" opacity="{_unread(digit):g}" d="{_cells(steps, cells)}"/>' for digit, cells in digits.items() if _unread(digit)
    )
    box = f'<rect class="p" style="stroke-width:1.4;stroke-dasharray:none" {_rectangle(steps.boxes[step], *shown.size)}/>' if steps.boxes else ""
    right = steps.top_labels[step] == shown.row["label"]
    style = ' style="fill:var(--true);font-weight:600"' if right else ' class="m"'
    text = f"{_short(shown.names[steps.top_labels[step]], 9)}"
    inside = f'<use href="#{shown.timeline.name}-image"/>{_over_picture(shown, veil)}{box}'
    return f'<g transform="scale({scale:.4g})">{inside}</g><text x="{width / 2:g}" y="{height + 13:g}" font-size="10.5" text-anchor="middle"{style}>{text}</text>'


def _short(name: str, limit: int) -> str:
    return str(escape(name if len(name) <= limit else name[: limit - 1] + "\u2026"))
