"""imgloc data"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from imgloc.cli import data_check, data_choice, data_prepare, data_show, data_stats
from imgloc.cli.parsers import add_commands
from imgloc.errors import UserError

HELP = "prepare, check, show and sum up data sets"
COMMANDS = {"prepare": data_prepare, "check": data_check, "show": data_show, "stats": data_stats}
EXAMPLES = """\
examples:
  imgloc data prepare tiny_imagenet --from tiny-imagenet-200.zip
  imgloc data check photos/
  imgloc data stats photos/
  imgloc data show photos/ --out photos.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of this group."""
    add_commands(parser, COMMANDS, "data_command")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run one of them."""
    if parsed.data_command is None:
        raise UserError(f"say what to do with data: {', '.join(COMMANDS)}; see imgloc data --help")
    try:
        code: int = COMMANDS[parsed.data_command].run(parsed, rest)
    except UserError as error:
        raise data_choice.in_flags(error, parsed) from None
    return code
