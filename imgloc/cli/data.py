"""imgloc data"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from imgloc.cli import data_check, data_choice, data_prepare, data_show, data_stats
from imgloc.cli.parsers import add_commands
from imgloc.errors import UserError

HELP = "prepare, check, show and summarize data sets"
COMMANDS = {"prepare": data_prepare, "check": data_check, "show": data_show, "stats": data_stats}
EXAMPLES = """\
examples:
  imgloc data prepare tiny_imagenet --from tiny-imagenet-200.zip
  imgloc data check photos/
  imgloc data stats photos/
  imgloc data show photos/ --out photos.html

exit codes: 0 success; 1 faults were found, or a file cannot be read or written; 2 a mistake in the command or the data
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the commands of this group."""
    add_commands(parser, COMMANDS, "data_command")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Runs a command and returns its exit code."""
    if parsed.data_command is None:
        raise UserError(f"no command given; possible: {', '.join(COMMANDS)}; see imgloc data --help")
    try:
        code: int = COMMANDS[parsed.data_command].run(parsed, rest)
    except UserError as error:
        raise data_choice.name_flags(error, parsed) from None
    return code
