"""imgloc data check"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imgloc.cli import data_choice
from imgloc.data.checks.faults import KINDS
from imgloc.errors import UserError, printable

if TYPE_CHECKING:
    from imgloc.data.annotated.annotations import Fault
    from imgloc.data.checks.folder import Findings

HELP = "report the faults of a data set, file by file, and their effect on training or on the metrics"
EXAMPLES = """\
Every image is decoded. Each fault is printed on one line, FILE: fault - effect [kind], followed by the number of faults of
each kind.

examples:
  imgloc data check photos/
  imgloc data check photos/ --format voc --convention inclusive_from_1
  imgloc data check --config digits_cnn --json

exit codes: 0 no faults, or only notes; 1 faults that would affect training or its metrics; 2 a mistake in the command
or data that cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    data_choice.add_arguments(parser, split="")
    parser.add_argument("--most", type=int, default=10, metavar="N", help="print at most N faults of each kind (default: 10)")
    parser.add_argument("--all", action="store_true", help="print all faults")
    parser.add_argument("--json", action="store_true", help="print all faults as JSON")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Prints the faults; returns 1 if one of them is serious."""
    from imgloc.api.data import findings  # imports JAX

    if parsed.most < 0:
        raise UserError(f"--most must be at least 0, got {parsed.most}")
    config = data_choice.read_config(parsed, rest)
    found = findings(config)
    most = len(found.faults) if parsed.all else parsed.most
    print(as_json(found) if parsed.json else "\n".join(lines(found, most=most, task=config.task)))
    return 1 if found.serious else 0


def line(fault: Fault) -> str:
    """Returns a fault as one line of text."""
    return printable(f"{fault.where}: {fault.what} - {KINDS[fault.kind].effect} [{fault.kind}]")


def lines(findings: Findings, *, most: int, task: str) -> Iterator[str]:
    """Yields at most `most` faults of each kind, what the task does with several objects, and the number of faults."""
    if findings.recognised:
        yield printable(findings.recognised)
    if findings.several:
        from imgloc.training.data_faults import several_objects

        yield several_objects(findings.several, findings.images, task)
    counts = Counter(fault.kind for fault in findings.faults)
    printed: Counter[str] = Counter()
    for fault in findings.faults:
        printed[fault.kind] += 1
        if printed[fault.kind] <= most:
            yield line(fault)
        elif printed[fault.kind] == counts[fault.kind]:
            yield f"... and {counts[fault.kind] - most:,} more [{fault.kind}]; --all prints them"
    if findings.faults:
        yield ""
    for serious, title in ((True, "faults"), (False, "notes")):
        kinds = [f"{count:,} {kind}" for kind, count in counts.items() if KINDS[kind].serious is serious]
        if kinds:
            yield f"{title}: {', '.join(kinds)}"
    count = len(findings.serious)
    result = f"{count:,} fault{'s' if count > 1 else ''} that would affect training or its metrics" if count else "no faults"
    yield f"{findings.images:,} images: {result}"


def as_json(findings: Findings) -> str:
    """Returns all faults as JSON."""
    from imgloc.api.data import fault_records

    counts = Counter(fault.kind for fault in findings.faults)
    totals = {"images": findings.images, "serious": len(findings.serious), "counts": counts}
    return json.dumps({**totals, "faults": fault_records(findings)}, indent=2)
