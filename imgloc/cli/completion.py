"""Scripts that complete the `imgloc` command in a shell: `imgloc --print-completion bash`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from imgloc.config.recipes import shipped_recipes
from imgloc.errors import look_up

SHELLS = {"bash": "bash", "tcsh": "tcsh", "zsh": "zsh"}
FOLDERS = ("DIR", "FOLDER", "MODEL", "RUN")  # metavars
FILES = ("FILE", "IMAGE", "ZIP_OR_FOLDER")
WORDS = {"split": ("train", "validation", "test"), "checkpoint": ("best", "last"), "print_completion": tuple(SHELLS)}


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion script of a shell. Changes the parser, which can no longer parse. Raises UserError for an unknown shell."""
    import shtab  # here, because no other command needs it

    look_up("shell", shell, SHELLS)
    for action in actions_of(parser):
        if action.metavar == "RECIPE":
            action.complete = recipe_completion()  # type: ignore[attr-defined]  # where shtab looks
        elif action.metavar in FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest in WORDS:
            action.choices = WORDS[action.dest]
    return str(shtab.complete(parser, shell=shell))


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from actions_of(command)
        else:
            yield action


def recipe_completion() -> dict[str, Any]:
    """Return functions for shtab that complete Python files and the names of recipes."""
    names = " ".join(shipped_recipes())
    bash = f"""\
_imgloc_recipe_files() {{
  compgen -W "{names}" -- "$1"
  compgen -f -X '!*.py' -- "$1"
  compgen -d -- "$1"
}}"""
    zsh = f"""\
_imgloc_recipe_files() {{
  _alternative 'recipes:recipe:({names})' 'files:file:_files -g "*.py"'
}}"""
    return {
        "bash": "_imgloc_recipe_files",
        "zsh": "_imgloc_recipe_files",
        "tcsh": f"({names})",
        "preamble": {"bash": bash, "zsh": zsh},
    }
