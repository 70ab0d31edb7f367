"""The directive `command-help`: what `imgloc COMMAND --help` prints, from the parser itself."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from imgloc.cli.main import make_parser

COLUMNS = "92"  # of the printed help: no page scrolls sideways on a laptop


def parsers(parser: argparse.ArgumentParser, name: str = "imgloc") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yields the name and the parser of a command and of all of its subcommands: `imgloc`, `imgloc train`, `imgloc data check`."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subcommand, subparser in action.choices.items():
                yield from parsers(subparser, f"{name} {subcommand}")


class CommandHelp(SphinxDirective):
    """The help of the command that its content names."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Returns a literal block. An unknown command is an error."""
        name = " ".join(self.content).strip()
        commands = dict(parsers(make_parser()))
        if name not in commands:
            raise self.error(f"no command '{name}'; possible: {', '.join(commands)}")
        with mock.patch.dict(os.environ, COLUMNS=COLUMNS):
            text = commands[name].format_help()
        return [nodes.literal_block(text, text, language="none")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
