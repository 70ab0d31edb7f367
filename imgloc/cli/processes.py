"""The flag of commands that several processes run together."""

from __future__ import annotations

import argparse


def add_distributed(parser: argparse.ArgumentParser) -> None:
    """--distributed, alone or with the place of this process."""
    parser.add_argument(
        "--distributed",
        nargs="?",
        const="auto",
        metavar="HOST:PORT,COUNT,INDEX",
        help="this is one process of several; alone on Slurm and TPU VMs, with its place elsewhere (see README)",
    )
