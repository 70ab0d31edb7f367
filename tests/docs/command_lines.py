"""Checks that commands in the documentation fit the program: its flags, its recipes, the keys of configs, files that exist."""

from __future__ import annotations

import itertools
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from imgloc.cli.main import make_parser, split_overrides
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from imgloc.errors import UserError
from tests.docs import pages

FOLDERS = ("scripts", "experiments", "benchmarks", "configs", "tests", "imgloc", "docs")


def check(words: Sequence[str], root: Path) -> None:
    """Raises UserError or AssertionError if a command is wrong; `root` is the repository, or a copy with more files."""
    if "imgloc" in (word.rpartition("/")[2] for word in words):
        start = next(i for i, word in enumerate(words) if word.rpartition("/")[2] == "imgloc")
        check_other(words[:start], root)
        check_imgloc(words[start + 1 :], root)
    else:
        check_other(words, root)


def check_imgloc(arguments: Sequence[str], root: Path) -> None:
    """The command is parsed; the recipe that it names is loaded and its overrides are applied."""
    own, overrides = split_overrides(arguments)
    try:
        parsed, rest = make_parser().parse_known_args(own)
    except SystemExit:  # --help; mistakes raise UserError
        return
    assert not rest, f"unknown arguments {rest}"
    recipe = getattr(parsed, "config", "")
    if recipe:
        override(read_recipe(str(root / recipe) if (root / recipe).is_file() else recipe), overrides)
    elif overrides:
        assert parsed.command in ("evaluate", "compress"), f"{parsed.command} takes no overrides without a recipe"


def check_other(words: Sequence[str], root: Path) -> None:
    """Files of the repository that the command names exist, modules of `python -m` too, and extras of `pip install`."""
    for word in words:
        if word.split("/")[0] in FOLDERS and "/" in word:
            assert (root / word).exists(), f"no file {word}"
        for extras in re.findall(r"^\.\[(.*)\]$", word):
            known = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(extras.split(",")) <= set(known), word
    for flag, module in itertools.pairwise(words):
        if flag == "-m" and module not in ("pip", "venv", "pytest"):
            assert (root / module).is_dir() or (root / f"{module}.py").is_file(), f"no module {module}"


def faults(root: Path, names: Sequence[str]) -> list[str]:
    """A line for each wrong command in the bash blocks of these pages."""
    found = []
    for block in (block for name in names for block in pages.blocks(pages.DOCS / name)):
        for words in pages.commands(block.text) if block.language == "bash" else ():
            try:
                check(words, root)
            except (UserError, AssertionError) as error:
                found.append(f"{block.page}:{block.line} {' '.join(words)}: {error}")
    return found


if __name__ == "__main__":
    print("\n".join(faults(Path.cwd(), sys.argv[1:])))
