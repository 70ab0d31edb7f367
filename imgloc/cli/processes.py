"""The flag of commands that can run in several processes."""

from __future__ import annotations

import argparse


def add_distributed(parser: argparse.ArgumentParser) -> None:
    """Add --distributed, with an optional address and index of this process."""
    parser.add_argument(
        "--distributed",
        nargs="?",
        const="auto",
        metavar="HOST:PORT,COUNT,INDEX",
        help="run as one of several processes; without a value on Slurm and TPU VMs, with one elsewhere (see docs/devices.md)",
    )
