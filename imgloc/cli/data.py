"""imgloc data"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from imgloc.cli import data_prepare
from imgloc.cli.parsers import add_commands
from imgloc.errors import UserError

HELP = "prepare data sets"
COMMANDS = {"prepare": data_prepare}
EXAMPLES = """\
example:
  imgloc data prepare tiny_imagenet --from tiny-imagenet-200.zip
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of this group."""
    add_commands(parser, COMMANDS, "data_command")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run one of them."""
    if parsed.data_command is None:
        raise UserError(f"say what to do with data: {', '.join(COMMANDS)}; see imgloc data --help")
    code: int = COMMANDS[parsed.data_command].run(parsed, rest)
    return code
