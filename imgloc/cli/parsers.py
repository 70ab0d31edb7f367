"""Adding commands to a parser, with errors in one line."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, Protocol

from imgloc.config import registry
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


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add --quiet and --json, for commands whose output a program may read."""
    parser.add_argument("--quiet", action="store_true", help="print results and errors only, no progress and no hints")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def add_execution_flags(parser: argparse.ArgumentParser) -> None:
    """Add --executor, --jobs and --option, for commands that run the points of a sweep."""
    names = ", ".join(registry.names("sweeps.executors"))
    parser.add_argument("--executor", default="processes", metavar="NAME", help=f"where the points run: {names} (default: processes)")
    parser.add_argument("--jobs", type=int, metavar="N", help="points that run at the same time (default: 1 on this machine, else all)")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the executor (see docs/sweeps.md)")


def add_allow_import(parser: argparse.ArgumentParser) -> None:
    """Add --allow-import, for run folders and models whose saved config names modules outside imgloc."""
    parser.add_argument(
        "--allow-import",
        action="append",
        default=[],
        metavar="MODULE",
        help="allow the saved config of a run to import MODULE, which executes its code: name only modules that you trust",
    )


def check_rest(rest: Sequence[str], command: str) -> None:
    """Raises UserError if arguments are left that the parser of a command does not know."""
    if rest:
        kind = "unknown option" if rest[0].startswith("-") else "unexpected argument"
        raise UserError(f"{kind} '{rest[0]}'; see imgloc {command} --help")


def check_options(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Raise UserError, with the nearest name, for the first option that the command in the arguments does not have."""
    for argument in arguments:
        if argument == "--":
            return
        commands = next((action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)), {})
        name = argument.partition("=")[0]
        if argument in commands:
            parser = commands[argument]
        elif name.startswith("--") and " " not in argument and name not in parser._option_string_actions:
            options = [option for option in parser._option_string_actions if option.startswith("--")]
            if "." in name and "--config" in options:  # --optim.lr, or a misspelled --config.optim.lr
                section, _, rest = name.partition(".")
                misspelled = difflib.get_close_matches(section, ["--config"], cutoff=0.8)
                key = rest if misspelled else name.removeprefix("--")
                options.append(f"--config.{key}")
            config = "; keys of the config are set as --config.KEY=VALUE" if "--config" in options and "." not in name else ""
            raise UserError(f"{parser.prog}: {unknown('option', name, options)}{config}; see {parser.prog} --help")


def report_errors_in_one_line(parser: argparse.ArgumentParser) -> None:
    """Let the parser raise its errors as a UserError of one line that refers to --help, instead of printing its usage."""

    def error(message: str) -> NoReturn:
        choice = re.match(r"argument (\w+): invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice:
            names = re.findall(r"[a-z_-]+", choice[3])
            raise UserError(f"{parser.prog}: {unknown(choice[1].lower(), choice[2], names)}; see {parser.prog} --help")
        raise UserError(f"{parser.prog}: {message}; see {parser.prog} --help")

    parser.error = error  # type: ignore[method-assign]
