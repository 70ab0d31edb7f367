"""The code blocks of the documentation's pages, with the markers above them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import processes

DOCS = processes.ROOT / "docs"
MARKER = re.compile(r"<!-- ([a-z ]+?)(?:: (.*?))? -->\s*$")
BUILT = ("_build", "tutorials")  # the tutorials are notebooks: the build executes them
SEPARATORS = ("&&", "|", ">", ";")


class Block(NamedTuple):
    """A fenced block."""

    page: str  # relative to docs/
    line: int  # of its first line of text
    language: str
    text: str
    markers: dict[str, str]  # of the comments directly above it: {"file": "configs/a.py"}

    @property
    def runs(self) -> bool:
        """Whether it is executed in the page's folder."""
        return (self.language == "python" and not self.markers) or (self.language == "bash" and "run" in self.markers)


def pages() -> list[Path]:
    """All pages that are written by hand and are not notebooks."""
    return [page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in BUILT]


def name(page: Path) -> str:
    """The path of a page relative to docs/."""
    return str(page.relative_to(DOCS))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order, without directives such as `{toctree}`."""
    found: list[Block] = []
    markers: dict[str, str] = {}
    lines = iter(enumerate(page.read_text().splitlines(), start=1))
    for number, line in lines:
        if marker := MARKER.match(line):
            markers[marker[1]] = marker[2] or ""
        elif fence := re.match(r"(\s*)(```+)(\S*)", line):
            indent, ticks, language = fence.groups()
            text = ""
            for _, inner in lines:
                if inner.strip() == ticks:
                    break
                text += inner.removeprefix(indent) + "\n"
            if not language.startswith("{"):
                found.append(Block(name(page), number + 1, language, text, markers))
            markers = {}
        elif line.strip():
            markers = {}
    return found


def comments(page: Path, kind: str) -> list[str]:
    """The arguments of all markers of a kind on a page, wherever they stand."""
    return [marker[2] or "" for line in page.read_text().splitlines() if (marker := MARKER.match(line)) and marker[1] == kind]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a bash block: continued lines are joined, comments are left out, `&&` and `|` separate commands."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = next((i for i, word in enumerate(words) if word in SEPARATORS), len(words))
            if words[:end]:
                yield words[:end]
            words = words[end + 1 :]
