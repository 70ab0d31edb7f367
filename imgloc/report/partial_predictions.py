"""Partial predictions as animated images: the prediction after each moment of reading an image."""

from __future__ import annotations

import struct
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup, escape

from imgloc import boxes, files
from imgloc.report.animated_image import PICTURE, Shown, marked, marks, picture, still, veil
from imgloc.report.animation import Part, Timeline, joined, moving, only_where_wanted, switching, visible
from imgloc.report.gallery import PNG
from imgloc.report.load import RunReport
from imgloc.report.outlines import style as outlines
from imgloc.runs import partial_predictions as saved
from imgloc.runs.partial_predictions import SavedPartialPredictions

WIDTH, GAP = 340, 14  # of the whole; between the picture and the bars
FRAMES = 6  # of the strip
MARK = b'class="partial-0-'  # near the beginning of every standalone picture
ORDER = ("chosen", "best", "median", "worst")
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
    marks: frozenset[str]  # the kinds that are outlined in it: true, predicted, fixation


def figures(report: RunReport, split: str, number: int) -> list[Figure]:
    """The animated pictures of a run, those that were asked for first; `number` keeps its names apart from those of other runs."""
    return [Figure(shown.partial.id, shown.partial.why, inline(shown), marked(shown)) for shown in _all_shown(report, split, number)]


def write_pictures(report: RunReport, split: str, folder: Path, prefix: str = "") -> list[Path]:
    """Write each animated picture as an SVG file of its own, PREFIX and the example's id its name; returns their paths.

    Raises UserError, and writes none, where something else than an earlier one has such a name.
    """
    pictures = {}
    for shown in _all_shown(report, split, 0):
        path = folder / (urllib.parse.quote(prefix, safe="") + saved.path_of(report.run, split, shown.partial.id).stem + ".svg")
        files.check_replaceable(path, MARK, f"--pictures '{folder}'")
        pictures[path] = shown
    for path, shown in pictures.items():
        files.write_text(path, standalone(shown))
    return list(pictures)


def standalone_picture(partial: SavedPartialPredictions, png: bytes, classes: Sequence[str]) -> str:
    """A whole SVG file of a picture whose truth is not known."""
    return standalone(Shown(partial, {"label": -1}, png, dict(enumerate(classes)), Timeline("partial-0-0", len(partial.seen))))


def _all_shown(report: RunReport, split: str, number: int) -> list[Shown]:
    rows = {str(row["id"]): row for row in report.model.rows}
    found = []
    kept = [partial for partial in saved.read(report.run, split, report.model.meta) if partial.id in rows]
    for i, partial in enumerate(
        sorted(kept, key=lambda partial: (ORDER.index(partial.why) if partial.why in ORDER else len(ORDER), partial.id))
    ):
        path = saved.path_of(report.run, split, partial.id).with_suffix(".png")
        png = path.read_bytes() if path.is_file() else b""
        if png.startswith(PNG) and len(png) > 24 and all(struct.unpack(">II", png[16:24])):
            row = rows[partial.id]
            names = {label: report.class_name(label) for label in (*partial.labels, *partial.top_labels, row["label"])}
            found.append(Shown(partial, row, png, names, Timeline(f"partial-{number}-{i}", len(partial.seen))))
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
        Part(f'<g transform="translate({x:g} {y:g})">{picture(shown)}'), veil(shown), marks(shown), Part("</g>"),
        _answer(shown), _strip(shown),
    ])  # fmt: skip
    css = (
        f"{style}.{name}{{font-family:var(--sans)}}.{name} text{{fill:var(--ink)}}.{name} .m{{fill:var(--muted)}}"
        f"{outlines(name, fixations=bool(shown.partial.fixations))}"
        f".{name} .v{{fill:#4a545f;stroke:#4a545f;stroke-width:.3}}{only_where_wanted(whole.css)}"
    )
    title, told = _told(shown)
    box = f"{-margin} {-margin} {WIDTH + 2 * margin} {_height(shown) + 2 * margin:g}"
    return (
        f'<svg{namespace} class="{name}" viewBox="{box}" role="img" aria-label="{escape(title)}. {escape(told)}">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc><style>{css}</style>{ground}{whole.svg}</svg>"
    )


def _height(shown: Shown) -> float:
    return PICTURE + _frame_size(shown)[1] + 44


def _frame_size(shown: Shown) -> tuple[float, float]:
    scale = ((WIDTH + 6) / FRAMES - 6) / PICTURE
    return round(shown.size[0] * scale, 2), round(shown.size[1] * scale, 2)


def _told(shown: Shown) -> tuple[str, str]:
    """What it is, and what happens in it, for those who do not see it."""
    partial, count = shown.partial, len(shown.partial.seen)
    moments = ", ".join(
        f"after {i + 1} of {count} steps {shown.names[partial.top_labels[i]]} with {100 * partial.top_scores[i]:.0f} %"
        for i in _frames(shown)
    )
    overlap = _overlap(shown)
    where = f"; its box then has IoU {overlap:.2f}" if overlap is not None else ""
    where += _last_fixation(shown)
    true = f", true class {shown.names[shown.row['label']]}" if shown.row["label"] in shown.names else ""
    return f"{partial.id}{true}: the answer as it forms", f"{moments}{where}"


def _overlap(shown: Shown) -> float | None:
    truth, found = shown.row.get("boxes"), shown.partial.boxes
    return float(boxes.iou(np.asarray(truth), np.asarray(found[-1])).max()) if truth and found else None


def _last_fixation(shown: Shown) -> str:
    """Where the center of the last fixation lies, and whether in a true box, where that is known."""
    if not shown.partial.fixations:
        return ""
    x0, y0, x1, y1 = shown.partial.fixations[-1]
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    truth = shown.row.get("boxes")
    hits = any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in truth or ())
    where = f", {'inside' if hits else 'outside'} the true box" if truth else ""
    return f"; its last fixation is at {100 * x:.0f} % of the width and {100 * y:.0f} % of the height{where}"


def _frames(shown: Shown) -> list[int]:
    """The steps that the strip shows, evenly spaced, the last one among them."""
    count = len(shown.partial.seen)
    kept = min(FRAMES, count)
    return [-(-(i + 1) * count // kept) - 1 for i in range(kept)]


def _answer(shown: Shown) -> Part:
    """Beside the picture: the likeliest class as it changes, bars of the likeliest ones, and how many steps have been taken."""
    partial, count = shown.partial, len(shown.partial.seen)
    room = WIDTH - PICTURE - GAP
    heads = [f"{_short(shown.names[k], 12)} <tspan class='m' font-size='12' font-weight='400'>{100 * p:.0f} %</tspan>"
             for k, p in zip(partial.top_labels, partial.top_scores, strict=True)]  # fmt: skip
    size = 22 if max(len(shown.names[k]) for k in partial.top_labels) < 4 else 15
    parts = [_changing(shown, "a", heads, f'y="18" font-size="{size}" font-weight="600"')]
    parts.append(_changing(shown, "n", [f"step {i + 1} of {count}" for i in range(count)], f'y="{PICTURE - 1}" font-size="11" class="m"'))
    high = (PICTURE - 50) / max(len(partial.labels), 1)
    narrow = max(len(shown.names[k]) for k in partial.labels) < 4
    for number, label in enumerate(partial.labels):
        y = 34 + number * high
        true = label == shown.row["label"]
        style = ' style="fill:var(--true);font-weight:600"' if true else ""
        name = f'<text y="{y + 9:g}" font-size="{11 if narrow else 9.5:g}"{style}>{_short(shown.names[label], 24)}</text>'
        left, top, wide, thick = (26, y + 1, room - 26, 8) if narrow else (0, y + 12, room, 4)
        last = max(0.001, partial.probabilities[-1][number])
        bar = f'<rect width="{wide}" height="{thick}" style="fill:var(--grid)"/>'
        bar += f'<rect class="{shown.timeline.name}-k{number}" width="{wide}" height="{thick}" transform="scale({last:g} 1)"'
        bar += f' style="fill:var(--{"true" if true else "accent"})"/>'
        grows = [f"transform:scaleX({max(0.001, row[number]):.3g})" for row in partial.probabilities]
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
        shows = [visible(i <= step < end) for step in range(len(texts))]
        hidden = "" if end == len(texts) else f' style="{visible(False)}"'
        one = attributes.replace('class="', f'class="{shown.timeline.name}-{full} ') if 'class="' in attributes else (
            f'{attributes} class="{shown.timeline.name}-{full}"'
        )  # fmt: skip
        css = switching(shown.timeline, full, shows) if len(begins) > 1 else ""
        parts.append(Part(f"<text {one}{hidden}>{texts[i]}</text>", css))
    return joined(parts)


def _strip(shown: Shown) -> Part:
    """Below: how far it has come, and a few of the steps that stand still."""
    count, name = len(shown.partial.seen), shown.timeline.name
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
    """One step, small, and the class that it would have ended with."""
    label = shown.partial.top_labels[step]
    style = 'style="fill:var(--true);font-weight:600"' if label == shown.row["label"] else 'class="m"'
    where = f'x="{width / 2:g}" y="{height + 13:g}" font-size="10.5" text-anchor="middle"'
    small = f'<g transform="scale({width / shown.size[0]:.4g})">{still(shown, step)}</g>'
    return f"{small}<text {where} {style}>{_short(shown.names[label], 8)}</text>"


def _short(name: str, limit: int) -> str:
    return str(escape(name if len(name) <= limit else name[: limit - 1] + "\u2026"))
