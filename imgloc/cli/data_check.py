"""imgloc data check"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from imgloc.cli import data_choice
from imgloc.data.checks.faults import KINDS
from imgloc.errors import UserError, printable

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imgloc.data.annotated.annotations import Fault
    from imgloc.data.checks.folder import Findings

HELP = "report the faults of a data set, file by file, and their effect on training or on the metrics"
EXAMPLES = """\
Every image is decoded. Each fault is printed on one line, FILE: fault - effect [kind], followed by the number of faults of
each kind.

Some faults make training or its metrics wrong. Of the data with other faults, training leaves the faulty part out or
clips the box; it refuses the data only if more than data.max_unusable of it is unusable. A test that must find every
fault, as in continuous integration, needs --strict.

examples:
  imgloc data check photos/
  imgloc data check photos/ --format voc --convention inclusive_from_1
  imgloc data check --config digits_cnn --json

exit codes: 0 no faults, or only notes and faults that training leaves out; 1 faults that make training or its metrics
wrong, data that imgloc train refuses, or any fault with --strict; 2 a mistake in the command or data that cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    data_choice.add_arguments(parser, split="")
    parser.add_argument("--most", type=int, default=10, metavar="N", help="print at most N faults of each kind (default: 10)")
    parser.add_argument("--all", action="store_true", help="print all faults")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for any fault, also for those that training leaves out")
    parser.add_argument("--json", action="store_true", help="print all faults as JSON")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Prints the faults; returns 1 for those that training does not leave out."""
    from imgloc.api.data import findings  # imports JAX
    from imgloc.training.data_faults import refusal

    if parsed.most < 0:
        raise UserError(f"--most must be at least 0, got {parsed.most}")
    config = data_choice.read_config(parsed, rest)
    found = findings(config)
    most = len(found.faults) if parsed.all else parsed.most
    refused = refusal(found, config.data.max_unusable)
    if parsed.json:
        print(as_json(found, refused))
    else:
        print("\n".join(lines(found, most=most, note=objects_line(found, config, data_choice.task_of(parsed, config)), refused=refused)))
    fails = len(found.serious) if parsed.strict else len(found.serious) - len(found.left_out)
    return int(bool(refused or fails))


def objects_line(found: Findings, config: ConfigDict, task: str) -> str:
    """Returns a line on the images with several objects; "" if there is nothing to note."""
    from imgloc.config.build import make_source
    from imgloc.config.object_counts import count_objects
    from imgloc.training.data_faults import learns_all_objects, objects_left_out, several_objects

    if not (task and learns_all_objects(task)):
        return several_objects(found.several, found.images, task) if found.several else ""
    try:
        return objects_left_out(count_objects(make_source(config.data, "train", config.seed)), config.data.max_objects)
    except UserError:  # there are no training images, which is a fault
        return ""


def line(fault: Fault) -> str:
    """Returns a fault as one line of text."""
    return printable(f"{fault.where}: {fault.what} - {KINDS[fault.kind].effect} [{fault.kind}]")


def lines(findings: Findings, *, most: int, note: str, refused: str) -> Iterator[str]:
    """Yields a note, at most `most` faults of each kind, their numbers, and why training refuses the data; a text may be empty."""
    if findings.recognised:
        yield printable(findings.recognised)
    if note:
        yield note
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
    for title in ("faults", "left out", "notes"):
        kinds = [f"{count:,} {kind}" for kind, count in counts.items() if title_of(kind) == title]
        if kinds:
            yield f"{title}: {', '.join(kinds)}"
    if refused:
        yield printable(f"imgloc train refuses the data: {refused}")
    count, left_out = len(findings.serious), len(findings.left_out)
    result = f"{count:,} fault{'s' if count > 1 else ''} that would affect training or its metrics" if count else "no faults"
    of_which = f", {'' if left_out == count else f'{left_out:,} of '}which training leaves out" if left_out else ""
    yield f"{findings.images:,} images: {result}{of_which}"


def title_of(kind: str) -> str:
    """Returns the title that faults of a kind are counted under."""
    if not KINDS[kind].serious:
        return "notes"
    return "left out" if KINDS[kind].left_out else "faults"


def as_json(findings: Findings, refused: str) -> str:
    """Returns all faults as JSON, and why training refuses the data, if it does."""
    from imgloc.api.data import fault_records

    counts = Counter(fault.kind for fault in findings.faults)
    totals: dict[str, Any] = {"images": findings.images, "serious": len(findings.serious), "left_out": len(findings.left_out)}
    return json.dumps({**totals, "refused": refused or None, "counts": counts, "faults": fault_records(findings)}, indent=2)
