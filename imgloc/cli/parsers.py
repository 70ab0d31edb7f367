"""Adding commands to a parser, with errors in one line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol

from imgloc.errors import UserError


class Command(Protocol):
    """The module of a command."""

    HELP: str
    EXAMPLES: str
    add_arguments: Callable[[argparse.ArgumentParser], None]


def add_commands(parser: argparse.ArgumentParser, commands: Mapping[str, Command], dest: str, *, metavar: str = "COMMAND") -> None:
    """Add commands by name. The parsed arguments have the name of the chosen command as `dest`."""
    subparsers = parser.add_subparsers(title="commands", dest=dest, metavar=metavar)
    for name, module in commands.items():
        subparser = subparsers.add_parser(
            name,
            help=module.HELP.replace("%", "%%"),  # argparse formats the help but not the description
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(subparser)
        report_errors_in_one_line(subparser)


def report_errors_in_one_line(parser: argparse.ArgumentParser) -> None:
    """Let the parser raise its errors as a UserError of one line that refers to --help, instead of printing its usage."""

    def error(message: str) -> NoReturn:
        raise UserError(f"{parser.prog}: {message}; see {parser.prog} --help")

    parser.error = error  # type: ignore[method-assign]
