"""Videos as animated SVG: the frames with true and predicted boxes, and the overlap of each object through time, the worst videos first."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape

from imgloc.evaluation import scoring
from imgloc.reporting.animated_image import IMAGE_SIZE
from imgloc.reporting.animation import Part, Timeline, if_motion_is_allowed, interpolated_css, join_parts, stepped_css, visibility_css
from imgloc.reporting.load import RunReport
from imgloc.reporting.outlines import outline_css, rect_attributes, rect_css
from imgloc.runs.film_strips import PER_KIND, shown_frames
from imgloc.tracking.rows import overlaps, paired_tracks
from imgloc.tracking.single_object import occlusions
from imgloc.types import FloatArray, Row

WIDTH, CHART = 340, 72  # of the figure; the height of the curves
EMPTY = (0.0, 0.0, 0.0, 0.0)
WEBP = b"RIFF"


class Film(NamedTuple):
    """The animation of one video, and its caption."""

    id: str
    why: str  # best, median or worst
    svg: Markup


def films(report: RunReport, number: int) -> list[Film]:
    """The animations of a run, the worst videos first; `number` distinguishes their CSS classes from those of other runs."""
    if not report.model.rows or "track_boxes" not in report.model.rows[0]:
        return []
    chosen = scoring.gallery_rows(report.model.rows, report.task, PER_KIND)
    shown: list[Film] = []
    for why in ("worst", "median", "best"):
        for row in chosen[why]:
            path = report.run.film_strip(report.split, str(row["id"]))
            content = path.read_bytes() if path.is_file() else b""
            if content.startswith(WEBP):
                shown.append(Film(str(row["id"]), why, film(row, content, f"film-{number}-{len(shown)}")))
    return shown


def film(row: Row, strip: bytes, name: str) -> Markup:
    """An `<svg>` element of a row with tracks and its film strip; `name` is its CSS class."""
    iou_nxt = overlaps(*paired_tracks(row))
    frames = shown_frames(iou_nxt.shape[1])
    timeline = Timeline(name, len(frames))
    scale = IMAGE_SIZE / max(row["width"], row["height"])
    size = round(row["width"] * scale, 2), round(row["height"] * scale, 2)
    boxes = [
        part
        for kind, tracks in (("t", row["track_boxes"]), ("p", row["pred_tracks"]))
        for k, track in enumerate(tracks[: row["started"]])
        for part in _moving_box(kind, f"{kind}{k}", [track[frame] if frame < len(track) else None for frame in frames], size, timeline)
    ]
    content = join_parts([_picture(strip, len(frames), size, timeline), *boxes, _chart(row, iou_nxt, frames, size[1] + 12, timeline)])
    css = f"{outline_css(name, fixations=False)}.{name} .c{{fill:none;stroke:var(--accent);stroke-width:1.5}}"
    css += f".{name} .o{{fill:var(--muted);opacity:.25}}.{name} text{{fill:var(--muted);font-size:10px}}{if_motion_is_allowed(content.css)}"
    lost = ", ".join(f"object {k}: mean IoU {np.nanmean(iou_t):.2f}" for k, iou_t in enumerate(iou_nxt) if not np.isnan(iou_t).all())
    label = escape(f"{row['id']}: {iou_nxt.shape[1]} frames with true and predicted boxes. {lost}")
    view = f"0 0 {WIDTH} {size[1] + CHART + 30:g}"
    return Markup(f'<svg class="{name}" viewBox="{view}" role="img" aria-label="{label}"><style>{css}</style>{content.svg}</svg>')


def _picture(strip: bytes, count: int, size: tuple[float, float], timeline: Timeline) -> Part:
    """The frame of each step: the film strip moves behind a window."""
    width, height = size
    data = base64.b64encode(strip).decode()
    image = (
        f'<image class="{timeline.name}-f" width="{width:g}" height="{height * count:g}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated;{_shift(count - 1, height)}" href="data:image/webp;base64,{data}"/>'
    )
    window = f'<svg width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}">{image}</svg>'
    return Part(window, stepped_css(timeline, "f", [_shift(step, height) for step in range(count)]))


def _shift(step: int, height: float) -> str:
    return f"transform:translateY({-step * height:.2f}px)"


def _moving_box(kind: str, name: str, boxes: Sequence[Sequence[float] | None], size: tuple[float, float], timeline: Timeline) -> list[Part]:
    """The outline of a box in each step, hidden in steps without one."""
    css = stepped_css(timeline, name, [f"{rect_css(box or EMPTY, size)};{visibility_css(box is not None)}" for box in boxes])
    style = f' style="{visibility_css(boxes[-1] is not None)}"'
    outlines = "".join(
        f'<rect class="{each} {timeline.name}-{name}"{style} {rect_attributes(boxes[-1] or EMPTY, size)}/>' for each in "h" + kind
    )
    return [Part(outlines, css)]


def _chart(row: Row, iou_nxt: FloatArray, frames: Sequence[int], top: float, timeline: Timeline) -> Part:
    """The overlap of each object through time, with the frames shaded in which it is hidden, and a line at the current frame."""
    last = max(1, iou_nxt.shape[1] - 1)

    def x(frame: float) -> float:
        return float(24 + frame / last * (WIDTH - 30))

    parts = [f'<g transform="translate(0 {top:g})"><path d="M24 0V{CHART}H{WIDTH - 6}" style="fill:none;stroke:var(--grid)"/>']
    parts += [f'<text x="20" y="{y}" text-anchor="end">{text}</text>' for y, text in ((8, "1"), (CHART, "0"))]
    parts.append(f'<text x="24" y="{CHART + 12}">frame 0</text><text x="{WIDTH - 6}" y="{CHART + 12}" text-anchor="end">{last}</text>')
    for visible_t in row["track_visible"][: len(iou_nxt)]:
        for first, end in occlusions(np.asarray(visible_t)):
            parts.append(f'<rect class="o" x="{x(first):.1f}" y="0" width="{x(end) - x(first):.1f}" height="{CHART}"/>')
    for iou_t in iou_nxt:
        points = [f"{x(frame):.1f},{(1 - iou) * CHART:.1f}" for frame, iou in enumerate(iou_t) if not np.isnan(iou)]
        parts.append(f'<polyline class="c" points="{" ".join(points)}"/>')
    cursor = f'<path class="{timeline.name}-x" d="M{x(last):.1f} 0V{CHART}" style="stroke:var(--ink);stroke-width:1"/>'
    moves = [f"transform:translateX({x(frame) - x(last):.1f}px)" for frame in frames]
    return Part("".join(parts) + cursor + "</g>", interpolated_css(timeline, "x", moves))
