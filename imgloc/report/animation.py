"""Animation of an SVG by CSS alone: what changes from step to step, in a loop with a pause at its end.

Every element stands as it is at the last step; only where a screen shows it to somebody who does not mind motion does it move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SECONDS_A_STEP = 0.22
SHORTEST, LONGEST = 3.0, 7.0  # seconds of all steps together; the pause is beside that
PAUSE = 2.6
HELD_FROM = 0.25  # seconds: what moves stands still for most of a step that is longer, as what stands beside it is of that step
GLIDE = 0.25  # of such a step: its end


class Part(NamedTuple):
    """SVG elements, and the CSS that moves them."""

    svg: str
    css: str = ""


@dataclass(frozen=True)
class Timeline:
    """When each step of an animation begins; `name` keeps its CSS apart from that of others in a page."""

    name: str
    steps: int

    @property
    def reading(self) -> float:
        """Seconds of all steps together."""
        return round(min(LONGEST, max(SHORTEST, SECONDS_A_STEP * self.steps)), 2)

    @property
    def seconds(self) -> float:
        """Seconds until it begins again."""
        return round(self.reading + PAUSE, 2)

    def percent(self, step: float) -> float:
        """The share of the loop, in percent, that has passed when a step begins; of the end of the last where there are no more."""
        return round(100 * self.reading * step / self.steps / self.seconds, 2)


def joined(parts: Sequence[Part]) -> Part:
    """Several parts, one after another."""
    return Part("".join(part.svg for part in parts), "".join(part.css for part in parts))


def moving(timeline: Timeline, name: str, declarations: Sequence[str]) -> str:
    """CSS of the class `timeline.name-name`: at the beginning of step i `declarations[i]` holds, and between steps what lies between.

    Where steps are long it holds until the step's last part, which glides to the next.
    """
    frames, held = [], timeline.reading / timeline.steps > HELD_FROM
    for i, text in enumerate(declarations):
        if not _between(declarations, i):
            frames.append(f"{timeline.percent(i):g}%{{{text}}}")
            if held and i + 1 < len(declarations) and declarations[i + 1] != text:
                frames.append(f"{timeline.percent(i + 1 - GLIDE):g}%{{{text}}}")
    return _rules(timeline, name, [*frames, f"100%{{{declarations[-1]}}}"], "linear")


def _between(declarations: Sequence[str], i: int) -> bool:
    """Whether a frame says what both its neighbours say, so that it need not be there."""
    return 0 < i < len(declarations) - 1 and declarations[i - 1] == declarations[i] == declarations[i + 1]


def switching(timeline: Timeline, name: str, declarations: Sequence[str]) -> str:
    """CSS of the class `timeline.name-name`: during step i `declarations[i]` holds, during the pause the last one."""
    changes = [i for i in range(len(declarations)) if i == 0 or declarations[i] != declarations[i - 1]]
    frames = [f"{timeline.percent(i):g}%{{{declarations[i]}}}" for i in changes]
    return _rules(timeline, name, [*frames, f"100%{{{declarations[-1]}}}"], "step-end")


def _rules(timeline: Timeline, name: str, frames: Sequence[str], how: str) -> str:
    full = f"{timeline.name}-{name}"
    return f".{full}{{animation:{full} {timeline.seconds:g}s {how} infinite}}@keyframes {full}{{{''.join(frames)}}}"


def visible(is_so: bool) -> str:
    """CSS that shows an element, or does not."""
    return f"visibility:{'visible' if is_so else 'hidden'}"


def only_where_wanted(css: str) -> str:
    """Rules that hold on a screen of somebody who has not asked for less motion."""
    return f"@media screen and (prefers-reduced-motion:no-preference){{{css}}}"
