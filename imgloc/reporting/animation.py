"""Animation of SVG elements with CSS: one state for each step, in a loop that pauses at its end.

Without motion (print, or `prefers-reduced-motion`) every element has the state of the last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SECONDS_PER_STEP = 0.22
MIN_SECONDS, MAX_SECONDS = 3.0, 7.0  # of all steps together, without the pause
PAUSE = 2.6  # seconds
HOLD_ABOVE = 0.25  # seconds per step: in longer steps, interpolated values are held first, so that they match the step's labels
TRANSITION = 0.25  # the fraction at the end of such a step in which they change


class Part(NamedTuple):
    """SVG elements, and the CSS that animates them."""

    svg: str
    css: str = ""


@dataclass(frozen=True)
class Timeline:
    """The times at which the steps of an animation begin; `name` is the prefix of its CSS classes, unique within a page."""

    name: str
    steps: int

    @property
    def reading(self) -> float:
        """Seconds of all steps together."""
        return round(min(MAX_SECONDS, max(MIN_SECONDS, SECONDS_PER_STEP * self.steps)), 2)

    @property
    def seconds(self) -> float:
        """Seconds of one loop, the pause included."""
        return round(self.reading + PAUSE, 2)

    def percent(self, step: float) -> float:
        """The part of the loop before a step begins, in per cent; for the number of steps, the beginning of the pause."""
        return round(100 * self.reading * step / self.steps / self.seconds, 2)


def join_parts(parts: Sequence[Part]) -> Part:
    """Several parts, one after another."""
    return Part("".join(part.svg for part in parts), "".join(part.css for part in parts))


def interpolated_css(timeline: Timeline, name: str, declarations: Sequence[str]) -> str:
    """CSS of the class `timeline.name-name`: `declarations[i]` at the beginning of step i, interpolated between steps."""
    frames, hold = [], timeline.reading / timeline.steps > HOLD_ABOVE
    for i, text in enumerate(declarations):
        if list(declarations[max(i - 1, 0) : i + 2]) == [text] * 3:
            continue  # the frame is equal to both neighbours and changes nothing
        frames.append(f"{timeline.percent(i):g}%{{{text}}}")
        if hold and i + 1 < len(declarations) and declarations[i + 1] != text:
            frames.append(f"{timeline.percent(i + 1 - TRANSITION):g}%{{{text}}}")
    return _rules(timeline, name, [*frames, f"100%{{{declarations[-1]}}}"], "linear")


def stepped_css(timeline: Timeline, name: str, declarations: Sequence[str]) -> str:
    """CSS of the class `timeline.name-name`: `declarations[i]` during step i, the last one during the pause."""
    changes = [i for i in range(len(declarations)) if i == 0 or declarations[i] != declarations[i - 1]]
    frames = [f"{timeline.percent(i):g}%{{{declarations[i]}}}" for i in changes]
    return _rules(timeline, name, [*frames, f"100%{{{declarations[-1]}}}"], "step-end")


def _rules(timeline: Timeline, name: str, frames: Sequence[str], easing: str) -> str:
    full = f"{timeline.name}-{name}"
    return f".{full}{{animation:{full} {timeline.seconds:g}s {easing} infinite}}@keyframes {full}{{{''.join(frames)}}}"


def visibility_css(is_visible: bool) -> str:
    """A CSS declaration that shows or hides an element."""
    return f"visibility:{'visible' if is_visible else 'hidden'}"


def if_motion_is_allowed(css: str) -> str:
    """CSS rules that apply only on screens, and only for users who have not asked for reduced motion."""
    return f"@media screen and (prefers-reduced-motion:no-preference){{{css}}}"
