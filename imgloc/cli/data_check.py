"""imgloc data check"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

HELP = "x"
EXAMPLES = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run."""
    return 0
