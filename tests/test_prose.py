"""User-facing text is plain English: words and patterns that the project does not use, and the length of lines."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT

#: Pattern -> what to write instead. Each is precise enough to have no correct use in this project.
BANNED = {
    r"told|said": "reported, printed, stated",
    r"tells?|says?": "shows, prints, states",
    r"wanted|wish(es|ed)?": "requested",
    r"dear(er|est)?": "expensive, slow",
    r"quick(er|est)?": "fast, early",
    r"anew|afresh|makes? anew|made anew": "again",
    r"mend(ed|ing)?": "repair, fix",
    r"in vain": "without result",
    r"in haste": "with fewer optimizations",
    r"at stake": "(name what is affected)",
    r"by name of": "named",
    r"by way of": "through",
    r"is had|to be had": "is available",
    r"gone on|goes on with|go on with": "continued",
    r"(there is|there are|that is|is) no more": "no longer exists",
    r"that there (is|are) none of": "that does not exist",
    r"an? \w+ that has not": "without",
    r"what is (?!in|wrong|needed)\w+": "(a noun: `the scored images`)",
    r"one's own|of its own accord": "your own",
    r"an own": "its own",
    r"so[- ]called": "(the name alone)",
    r"(that|which|it|they) (is|are) no (?!longer|higher|larger|more)\w+": "is not a",
    r"as well as also": "and",
    r"informations|softwares|persons|evidences|advices": "information, software, people",
    r"eventually": "possibly, or finally",
    r"(allow|enable|permit)s? to": "allows NOUN to, lets you",
    r"how (it|they|this|that) looks? like": "what it looks like",
    r"same like": "same as",
    r"depend(s|ing|ent)? (from|of)": "depends on",
    r"consists? in": "consists of",
    r"hence|whence|thereof|whereof|hereby|whereby|amongst|whilst|upon|unto|lest|shall|ought": "(today's word)",
    r"seamless(ly)?|effortless(ly)?|blazing(ly)?|powerful|cutting[- ]edge|state[- ]of[- ]the[- ]art": "(a number)",
}
BANNED_PATTERN = re.compile(rf"\b(?:{'|'.join(f'(?P<p{i}>{pattern})' for i, pattern in enumerate(BANNED))})\b", re.IGNORECASE)
PROSE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**/*.md", "experiments/*/README.md")
CODE = ("imgloc/**/*.py", "configs/*.py")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of prose with their numbers: of a Markdown file all lines; of a Python file comments, docstrings and texts."""
    if path.suffix == ".md":
        yield from enumerate(path.read_text().splitlines(), start=1)
        return
    with tokenize.open(path) as file:
        yield from ((token.start[0], token.string) for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield from enumerate(node.value.splitlines(), start=node.lineno)


def findings(path: Path) -> list[str]:
    """A line for each banned word or pattern in a file, with what to write instead."""
    instead = list(BANNED.values())
    return [
        f"{path}:{line}: '{match.group()}': write {instead[int(str(match.lastgroup)[1:])]}"
        for line, text in texts(path)
        for match in BANNED_PATTERN.finditer(text)
    ]


@pytest.mark.parametrize("pattern", [*PROSE, *CODE])
def test_the_prose_has_no_banned_word(pattern: str) -> None:
    assert not (found := [line for path in sorted(ROOT.glob(pattern)) for line in findings(path)]), "\n".join(found)


def test_banned_words_are_found_in_prose_comments_docstrings_and_texts_alone(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The message is told.\nWait in vain, quickstart, retold.\n")
    (tmp_path / "a.py").write_text(
        '"""What is scored."""\ntold = f.tell()  # an own file\nname = "told"\nerror = f"Informations of {told} are lost"\n'
    )
    assert [line.rpartition("/")[2] for line in findings(tmp_path / "a.md")] == [
        "a.md:1: 'told': write reported, printed, stated",
        "a.md:2: 'in vain': write without result",
    ]
    assert [line.rpartition("/")[2].split(": write")[0] for line in findings(tmp_path / "a.py")] == [
        "a.py:2: 'an own'", "a.py:1: 'What is scored'", "a.py:4: 'Informations'",
    ]  # fmt: skip


def test_lines_of_the_readme_are_at_most_120_characters() -> None:
    lines = enumerate((ROOT / "README.md").read_text().splitlines(), start=1)
    assert not [f"README.md:{number}" for number, line in lines if len(line) > 120 and not line.startswith("|")]
