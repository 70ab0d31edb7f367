"""imgloc export"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgloc.cli.console import console_for
from imgloc.cli.parsers import add_output_flags, check_rest
from imgloc.config import registry
from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.api.exporting import ExportResults

HELP = "write a trained model as a file that runs without imgloc, and compare both on validation"
EXAMPLES = """\
The file is described by FILE.json beside it: classes, input, boxes. `python locate_exported.py FILE photo.jpg`, a program that is
written beside it, locates objects without imgloc and JAX. The command fails, and keeps no file, if the metric that chose the
checkpoint falls on validation: below its interval, or by more than --tolerance.

examples:
  imgloc export runs/a --to onnx
  imgloc export runs/a --to onnx --int8 static --tolerance 0.01
  imgloc export runs/a --to stablehlo
  imgloc export runs/a --to iree --batch 8
  imgloc export runs/a/model --to onnx --out digits.onnx
  imgloc evaluate runs/a --predictor runs/a/deployment/model.onnx

exit codes: 0 written; 1 a file cannot be read or written; 2 a mistake in the command or the model, or a fall of the metric
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("model", metavar="MODEL", help="a run folder, RUN/model or a copy of it, or published weights")
    parser.add_argument("--to", required=True, metavar="FORMAT", help=", ".join(registry.names("deployment.formats")))
    parser.add_argument("--out", default="", metavar="FILE", help="the file (default: RUN/deployment/model with the suffix of the format)")
    parser.add_argument("--int8", default="", metavar="HOW", help="quantize to 8 bits: static (with images of validation) or dynamic; onnx")
    parser.add_argument("--batch", default="", metavar="N", help="images that the file takes at a time, or dynamic: any number")
    text = "how far the metric may fall on validation (default: to the low end of its interval)"
    parser.add_argument("--tolerance", type=float, default=None, metavar="T", help=text)
    parser.add_argument("--no-compare", action="store_true", help="do not compare the file with the model on validation")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    add_output_flags(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Export, and print the scores of both."""
    check_rest(rest, "export")
    batch = _batch(parsed.batch)
    from imgloc.devices import runtime

    runtime.prepare()

    from imgloc.api.exporting import export

    results = export(
        parsed.model, parsed.to, out=parsed.out or None, int8=parsed.int8, batch=batch, tolerance=parsed.tolerance,
        compare=not parsed.no_compare, checkpoint=parsed.checkpoint,
    )  # fmt: skip
    if parsed.json:
        print(json.dumps(as_json(results)))
        return 0
    print_results(results, parsed.model, hints=not parsed.quiet)
    return 0


def _batch(text: str) -> int | None:
    """The number of a batch, 0 for any, None where none is given. Raises UserError for anything else."""
    if text in ("", "dynamic"):
        return 0 if text else None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--batch is '{text}'; possible: a number of at least 1, or dynamic")
    return int(text)


def as_json(results: ExportResults) -> dict[str, Any]:
    """The object that `--json` prints."""
    from imgloc.evaluation import scoring

    found = results.comparison
    scores = found and {"model": scoring.as_json(found.before), "exported": scoring.as_json(found.after)}
    return {
        "path": str(results.path), "bytes": results.bytes, "format": results.description.kind, "int8": results.description.int8,
        "batch": results.description.batch or "dynamic", "scores": scores, "differences": found and dict(found.differences),
    }  # fmt: skip


def print_results(results: ExportResults, model: str, *, hints: bool = True) -> None:
    """Print the table of both on validation, and the file."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from imgloc.evaluation import scoring

    found = results.comparison
    if found is not None:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for title, side in (("validation", "left"), ("model", "right"), ("exported", "right")):
            table.add_column(title, justify="left" if side == "left" else "right", no_wrap=True)
        for key in scoring.in_order(found.before, None):
            cells = [f"{each.mean:.4f} [{each.low:.4f}, {each.high:.4f}]" for each in (found.before[key], found.after[key])]
            table.add_row(key, *cells)
        console_for(table, 120).print(table)
        differences = ", ".join(f"{name} {value:.1e}" for name, value in found.differences.items())
        print(f"largest differences of outputs: {differences}")
    print(f"{results.path} ({results.bytes:,} bytes)")
    if hints and found is not None:
        print(f"next: imgloc evaluate {model} --predictor {results.path}")
