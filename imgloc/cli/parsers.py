"""How a command, or a command of a group, is added to the parser: its help, and its mistakes in one line."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from imgloc.errors import UserError


def add_commands(parser: argparse.ArgumentParser, commands: dict[str, Any], dest: str, *, metavar: str = "COMMAND") -> None:
    """Commands by name, each a module with HELP, EXAMPLES and add_arguments; the chosen name is `dest` of what is parsed."""
    subparsers = parser.add_subparsers(title="commands", dest=dest, metavar=metavar)
    for name, module in commands.items():
        subparser = subparsers.add_parser(
            name,
            help=module.HELP.replace("%", "%%"),  # argparse formats this one and not the description
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(subparser)
        tell_in_one_line(subparser)


def tell_in_one_line(parser: argparse.ArgumentParser) -> None:
    """Mistakes as one line, without the usage above it; with a way to it."""

    def error(message: str) -> NoReturn:
        raise UserError(f"{parser.prog}: {message}; see {parser.prog} --help")

    parser.error = error  # type: ignore[method-assign]
