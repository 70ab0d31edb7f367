"""imgloc data check"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imgloc.cli import data_choice
from imgloc.data.checks.dataset import check_data
from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.data.annotated.annotations import Fault
    from imgloc.data.checks.folder import Findings

HELP = "name what is wrong with a data set, file by file, and what it would do to training or to the metric"
EXAMPLES = """\
Every image is decoded. A line a fault: FILE: what - what it does [kind]; then how many of each kind there are.
Exit code 1 where training, or its score, would go wrong; 0 where there is nothing, or nothing but notes.

examples:
  imgloc data check photos/
  imgloc data check photos/ --format voc --convention inclusive_from_1
  imgloc data check --config configs/digits_cnn.py --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    data_choice.add_arguments(parser, split="")
    parser.add_argument("--most", type=int, default=10, metavar="N", help="lines of each kind that are printed (default: 10)")
    parser.add_argument("--all", action="store_true", help="print all of them")
    parser.add_argument("--json", action="store_true", help="print them as JSON, all of them")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Print the faults; 1 where one of them is serious."""
    if parsed.most < 0:
        raise UserError(f"--most is {parsed.most}; possible: from 0 on")
    config = data_choice.chosen_config(parsed, rest)

    found = check_data(config.data, config.seed, thorough=True)
    assert found is not None, "a thorough check of examples is always possible"
    print(as_json(found) if parsed.json else "\n".join(lines(found, most=len(found.faults) if parsed.all else parsed.most)))
    return 1 if found.serious else 0


def line(fault: Fault) -> str:
    """A fault as text."""
    from imgloc.data.checks.faults import KINDS

    text = f"{fault.where}: {fault.what} - {KINDS[fault.kind].effect} [{fault.kind}]"
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def lines(found: Findings, *, most: int) -> Iterator[str]:
    """At most so many faults of each kind, and how many there are in all."""
    from imgloc.data.checks.faults import KINDS

    counts = Counter(fault.kind for fault in found.faults)
    printed: Counter[str] = Counter()
    for fault in found.faults:
        printed[fault.kind] += 1
        if printed[fault.kind] <= most:
            yield line(fault)
        elif printed[fault.kind] == counts[fault.kind]:
            yield f"... and {counts[fault.kind] - most:,} more [{fault.kind}]; --all prints them"
    if found.faults:
        yield ""
    for serious, title in ((True, "goes wrong"), (False, "worth knowing")):
        told = [f"{count:,} {kind}" for kind, count in counts.items() if KINDS[kind].serious is serious]
        if told:
            yield f"{title}: {', '.join(told)}"
    count = len(found.serious)
    wrong = f"{count:,} fault{'s' if count > 1 else ''} with which training or its score goes wrong"
    yield f"{found.images:,} images: {wrong if count else 'nothing goes wrong'}"


def as_json(found: Findings) -> str:
    """All faults for a program."""
    from imgloc.data.checks.faults import KINDS

    faults = [
        {"kind": f.kind, "where": f.where, "what": f.what, "effect": KINDS[f.kind].effect, "serious": KINDS[f.kind].serious}
        for f in found.faults
    ]  # fmt: skip
    counts = dict(Counter(fault.kind for fault in found.faults))
    return json.dumps({"images": found.images, "serious": len(found.serious), "counts": counts, "faults": faults}, indent=2)
