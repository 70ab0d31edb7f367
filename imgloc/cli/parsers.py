"""Adding commands to a parser, with errors in one line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol

from imgloc.errors import UserError, unknown


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
        if metavar == "COMMAND" and dest == "command":
            add_allow_import(subparser)
        report_errors_in_one_line(subparser)


def add_allow_import(parser: argparse.ArgumentParser) -> None:
    """Add --allow-import, for run folders and models whose saved config names modules outside imgloc."""
    parser.add_argument(
        "--allow-import",
        action="append",
        default=[],
        metavar="MODULE",
        help="let the saved config of a run import this module (yours); a run folder from elsewhere may name one that does anything",
    )


def report_errors_in_one_line(parser: argparse.ArgumentParser) -> None:
    """Let the parser raise its errors as a UserError of one line that refers to --help, instead of printing its usage."""

    def error(message: str) -> NoReturn:
        choice = re.match(r"argument (\w+): invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice:
            names = re.findall(r"[a-z_]+", choice[3])
            raise UserError(f"{parser.prog}: {unknown(choice[1].lower(), choice[2], names)}; see {parser.prog} --help")
        raise UserError(f"{parser.prog}: {message}; see {parser.prog} --help")

    parser.error = error  # type: ignore[method-assign]
