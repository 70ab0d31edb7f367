"""Partial predictions as animated SVG: the prediction after each step of reading an image."""

from __future__ import annotations

import dataclasses
import struct
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup, escape

from imgloc import boxes, files
from imgloc.reporting.animated_image import IMAGE_SIZE, AnimatedExample, image_element, outline_kinds, outlines, static_frame, unread_mask
from imgloc.reporting.animation import Part, Timeline, if_motion_is_allowed, interpolated_css, join_parts, stepped_css, visibility_css
from imgloc.reporting.gallery import PNG
from imgloc.reporting.load import RunReport
from imgloc.reporting.outlines import outline_css
from imgloc.runs import partial_predictions as saved
from imgloc.runs.partial_predictions import SavedPartialPredictions

WIDTH, GAP = 340, 14  # of the whole figure; between the image and the bars
FRAMES = 6  # in the strip below the image
MARK = b'class="partial-0-'  # near the beginning of every standalone file
ORDER = ("chosen", "best", "median", "worst")
#: Colours of standalone files, those of the page.
LIGHT = "--sheet:#ffffff;--ink:#1d1f23;--muted:#666a73;--grid:#e3e3df;--accent:#0b5f96;--true:#007a59"
DARK = "--sheet:#1a1d21;--ink:#e7e7e3;--muted:#a0a4ad;--grid:#31353c;--accent:#68b1e4;--true:#1fc493"
SANS = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","Liberation Sans",Arial,sans-serif'


@dataclass(frozen=True)
class Figure:
    """The animation of one example as inline SVG, and its caption."""

    id: str
    why: str  # best, median, worst or chosen
    svg: Markup
    outlines: frozenset[str]  # see `outline_kinds`


def figures(report: RunReport, number: int) -> list[Figure]:
    """The animations of a run, those that the user chose first; `number` distinguishes their CSS classes from those of other runs."""
    examples = _examples(report, number)
    return [Figure(example.partial.id, example.partial.why, inline_svg(example), outline_kinds(example)) for example in examples]


def write_pictures(report: RunReport, folder: Path, prefix: str = "") -> list[Path]:
    """Write each animation as an SVG file, named by `prefix` and the id of the example; returns their paths.

    Raises UserError, before any file is written, if one of them would overwrite a file that is not such a picture.
    """
    pictures = {}
    for example in _examples(report, 0):
        stem = saved.path_of(report.run, report.split, example.partial.id).stem
        path = folder / f"{urllib.parse.quote(prefix, safe='')}{stem}.svg"
        files.check_replaceable(path, MARK, f"--pictures '{folder}'")
        pictures[path] = example
    for path, example in pictures.items():
        files.write_text(path, standalone_svg(example))
    return list(pictures)


def standalone_picture(partial: SavedPartialPredictions, png: bytes, classes: Sequence[str]) -> str:
    """An SVG file for an image without annotation."""
    timeline = Timeline("partial-0-0", len(partial.seen))
    return standalone_svg(AnimatedExample(partial, {"label": -1}, png, dict(enumerate(classes)), timeline))


def _examples(report: RunReport, number: int) -> list[AnimatedExample]:
    rows = {str(row["id"]): row for row in report.model.rows}
    current = [partial for partial in saved.read(report.run, report.split, report.model.meta) if partial.id in rows]
    current.sort(key=lambda partial: (ORDER.index(partial.why) if partial.why in ORDER else len(ORDER), partial.id))
    examples = []
    for i, partial in enumerate(current):
        path = saved.path_of(report.run, report.split, partial.id).with_suffix(".png")
        png = path.read_bytes() if path.is_file() else b""
        if png.startswith(PNG) and len(png) > 24 and all(struct.unpack(">II", png[16:24])):
            row = rows[partial.id]
            example = AnimatedExample(partial, row, png, {}, Timeline(f"partial-{number}-{i}", len(partial.seen)))
            names = {label: report.class_name(label) for label in (*partial.labels, *partial.top_labels, *example.true_labels)}
            examples.append(dataclasses.replace(example, names=names))
    return examples


def inline_svg(example: AnimatedExample) -> Markup:
    """An `<svg>` element that uses the colours of the page."""
    return Markup(_svg(example))


def standalone_svg(example: AnimatedExample) -> str:
    """An SVG file for a README or for slides, with a background and with colours for light and dark mode."""
    style = f"svg{{{LIGHT};--sans:{SANS}}}@media (prefers-color-scheme:dark){{svg{{{DARK}}}}}"
    size = f'width="{WIDTH + 24}" height="{_height(example) + 24:g}"'
    background = f'<rect x="-12" y="-12" {size} rx="10" style="fill:var(--sheet)"/>'
    return _svg(example, namespace=' xmlns="http://www.w3.org/2000/svg"', style=style, background=background, margin=12) + "\n"


def _svg(example: AnimatedExample, *, namespace: str = "", style: str = "", background: str = "", margin: int = 0) -> str:
    name, (width, height) = example.timeline.name, example.size
    x, y = (IMAGE_SIZE - width) / 2, (IMAGE_SIZE - height) / 2
    content = join_parts([
        Part(f'<g transform="translate({x:g} {y:g})">{image_element(example)}'), unread_mask(example), outlines(example), Part("</g>"),
        _prediction(example), _strip(example),
    ])  # fmt: skip
    css = (
        f"{style}.{name}{{font-family:var(--sans)}}.{name} text{{fill:var(--ink)}}.{name} .m{{fill:var(--muted)}}"
        f"{outline_css(name, fixations=bool(example.partial.fixations))}"
        f".{name} .v{{fill:#4a545f;stroke:#4a545f;stroke-width:.3}}{if_motion_is_allowed(content.css)}"
    )
    title, description = _text_alternative(example)
    view = f"{-margin} {-margin} {WIDTH + 2 * margin} {_height(example) + 2 * margin:g}"
    return (
        f'<svg{namespace} class="{name}" viewBox="{view}" role="img" aria-label="{escape(title)}. {escape(description)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc><style>{css}</style>{background}{content.svg}</svg>"
    )


def _height(example: AnimatedExample) -> float:
    return IMAGE_SIZE + _frame_size(example)[1] + 44


def _frame_size(example: AnimatedExample) -> tuple[float, float]:
    scale = ((WIDTH + 6) / FRAMES - 6) / IMAGE_SIZE
    return round(example.size[0] * scale, 2), round(example.size[1] * scale, 2)


def _text_alternative(example: AnimatedExample) -> tuple[str, str]:
    """Title and description for readers who do not see the animation."""
    partial, count, row = example.partial, len(example.partial.seen), example.row
    steps = ", ".join(
        f"after {i + 1} of {count} steps {_name(example, partial.top_labels[i])}"
        + (f" with {100 * partial.top_scores[i]:.0f} %" if partial.top_labels[i] != saved.NO_OBJECT else "")
        for i in (range(count) if partial.objects else _frames(example))
    )
    iou = ""
    if row.get("boxes") and partial.boxes:
        iou = f"; its box then has IoU {float(boxes.iou(np.asarray(row['boxes']), np.asarray(partial.boxes[-1])).max()):.2f}"
    known = [example.names[label] for label in example.true_labels if label in example.names]
    true = f", true {'objects' if 'label' not in row else 'class'} {', '.join(known)}" if known else ""
    return f"{partial.id}{true}: partial predictions", f"{steps}{iou}{_last_fixation(example)}"


def _name(example: AnimatedExample, label: int) -> str:
    return "no object" if label == saved.NO_OBJECT else example.names[label]


def _last_fixation(example: AnimatedExample) -> str:
    """The center of the last fixation, and whether it is in a true box if there are any."""
    if not example.partial.fixations:
        return ""
    x0, y0, x1, y1 = example.partial.fixations[-1]
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    true_boxes = example.row.get("boxes")
    is_inside = any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in true_boxes or ())
    relation = f", {'inside' if is_inside else 'outside'} the true box" if true_boxes else ""
    return f"; its last fixation is at {100 * x:.0f} % of the width and {100 * y:.0f} % of the height{relation}"


def _frames(example: AnimatedExample) -> list[int]:
    """The steps in the strip, evenly spaced, the last step included."""
    count = len(example.partial.seen)
    frames = min(FRAMES, count)
    return [-(-(i + 1) * count // frames) - 1 for i in range(frames)]


def _prediction(example: AnimatedExample) -> Part:
    """To the right of the image: the predicted class of each step, bars of class probabilities, and the number of the step."""
    partial, timeline = example.partial, example.timeline
    count = len(partial.seen)
    per_cent = "<tspan class='m' font-size='12' font-weight='400'>{:.0f} %</tspan>"
    headings = [
        f"{_short(_name(example, k), 12)} {per_cent.format(100 * p) if k != saved.NO_OBJECT else ''}"
        for k, p in zip(partial.top_labels, partial.top_scores, strict=True)
    ]
    size = 22 if max(len(_name(example, k)) for k in partial.top_labels) < 4 else 15
    parts = [
        _changing_text(timeline, "a", headings, f'y="18" font-size="{size}" font-weight="600"'),
        _changing_text(timeline, "n", [f"step {i + 1} of {count}" for i in range(count)], f'y="{IMAGE_SIZE - 1}" font-size="11"', "m"),
        *(_bar(example, number, label) for number, label in enumerate(partial.labels)),
    ]
    svg, css = join_parts(parts)
    return Part(f'<g transform="translate({IMAGE_SIZE + GAP} 0)">{svg}</g>', css)


def _bar(example: AnimatedExample, number: int, label: int) -> Part:
    """The name of a class and the bar of its probability; beside each other for short names, else below each other."""
    partial, names, timeline = example.partial, example.names, example.timeline
    y = 34 + number * (IMAGE_SIZE - 50) / len(partial.labels)
    is_short, is_true = max(len(names[k]) for k in partial.labels) < 4, label in example.true_labels
    style = ' style="fill:var(--true);font-weight:600"' if is_true else ""
    text = f'<text y="{y + 9:g}" font-size="{11 if is_short else 9.5:g}"{style}>{_short(names[label], 24)}</text>'
    room = WIDTH - IMAGE_SIZE - GAP
    left, top, width, height = (26, y + 1, room - 26, 8) if is_short else (0, y + 12, room, 4)
    scales = [max(0.001, probabilities[number]) for probabilities in partial.probabilities]
    bar = f'<rect width="{width}" height="{height}" style="fill:var(--grid)"/>'
    bar += f'<rect class="{timeline.name}-k{number}" width="{width}" height="{height}" transform="scale({scales[-1]:g} 1)"'
    bar += f' style="fill:var(--{"true" if is_true else "accent"})"/>'
    css = interpolated_css(timeline, f"k{number}", [f"transform:scaleX({scale:.3g})" for scale in scales])
    return Part(f'{text}<g transform="translate({left} {top:g})">{bar}</g>', css)


def _changing_text(timeline: Timeline, name: str, texts: Sequence[str], attributes: str, css_class: str = "") -> Part:
    """A text that changes between steps: one element for each sequence of steps with the same text."""
    begins = [i for i, text in enumerate(texts) if i == 0 or text != texts[i - 1]]
    parts = []
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(texts)], strict=True)):
        css = ""
        if len(begins) > 1:
            css = stepped_css(timeline, f"{name}{number}", [visibility_css(begin <= step < end) for step in range(len(texts))])
        hidden = "" if end == len(texts) else f' style="{visibility_css(False)}"'
        classes = f"{timeline.name}-{name}{number} {css_class}".strip()
        parts.append(Part(f'<text {attributes} class="{classes}"{hidden}>{texts[begin]}</text>', css))
    return join_parts(parts)


def _strip(example: AnimatedExample) -> Part:
    """Below the image: a progress bar and static frames of a few steps."""
    count, name = len(example.partial.seen), example.timeline.name
    width, height = _frame_size(example)
    space, frames = (WIDTH + 6) / FRAMES, _frames(example)
    used = len(frames) * space - 6
    track = f'<rect width="{used:g}" height="3" style="fill:var(--grid)"/>'
    track += f'<rect class="{name}-r" width="{used:g}" height="3" style="fill:var(--muted)"/>'
    elements = [f'<g transform="translate(0 {IMAGE_SIZE + 16})">{track}']
    for i, step in enumerate(frames):
        left = i * space + (space - 6 - width) / 2
        elements.append(f'<g transform="translate({left:g} 11)">{_frame(example, step, width, height)}</g>')
    progress = [f"transform:scaleX({(i + 1) / count:.4g})" for i in range(count)]
    return Part("".join(elements) + "</g>", interpolated_css(example.timeline, "r", progress))


def _frame(example: AnimatedExample, step: int, width: float, height: float) -> str:
    """A small static image of one step, and the class predicted at that step."""
    label = example.partial.top_labels[step]
    style = 'style="fill:var(--true);font-weight:600"' if label in example.true_labels else 'class="m"'
    attributes = f'x="{width / 2:g}" y="{height + 13:g}" font-size="10.5" text-anchor="middle"'
    frame = f'<g transform="scale({width / example.size[0]:.4g})">{static_frame(example, step)}</g>'
    return f"{frame}<text {attributes} {style}>{_short(_name(example, label), 9)}</text>"


def _short(name: str, limit: int) -> str:
    return str(escape(name if len(name) <= limit else name[: limit - 1] + "\u2026"))
