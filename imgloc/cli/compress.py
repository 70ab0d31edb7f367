"""imgloc compress"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from imgloc.cli.train import add_training_flags, train
from imgloc.errors import UserError

HELP = "make the model of a run smaller, in a run of its own: pruning, 8-bit weights, distillation"
EXAMPLES = """\
The new run starts from the best model of RUN. It is a run like any other: the same command resumes it; imgloc evaluate, report, compare
and locate read it. Its bundle stores 8-bit weights as bytes and pruned ones as bits; the last line prints the size of both.

methods, one or several, separated by commas:
  magnitude   the smallest three quarters of the weights of each kernel become 0 at the beginning; the others are trained
  gradual     the same, in steps over the first half of the training
  structured  whole channels are removed: fields of the model, such as --config.model.hidden=64, are the widths that remain, and the
              channels with the largest scales or norms start the narrower model
  quantize    8-bit kernels, with a scale for each output channel chosen by the squared error. Alone, it does not train; together with
              other methods, training rounds the weights as qat does
  qat         8-bit kernels, with training that rounds the weights in each step
  distill     the targets are the mean of the labels and the predictions of RUN; with --config.model.KEY=VALUE for a smaller model

--config.compression.sparsity=0.9 sets another share; docs/compression.md has all keys.

examples:
  imgloc compress runs/a --method quantize --workdir runs/a-int8
  imgloc compress runs/a --method gradual,qat,distill --workdir runs/a-small --config.train.steps=2000
  imgloc compress runs/a --method structured --workdir runs/narrow --config.model.deep=32 --config.model.hidden=64
  imgloc compress runs/a --method distill,qat --workdir runs/small --config.model.deep=32 --config.model.hidden=64

exit codes: those of imgloc train
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("run", metavar="RUN", help="the folder of a finished run")
    parser.add_argument(
        "--method", required=True, metavar="METHODS", help="magnitude, gradual, structured, quantize, qat, distill, or several (a,b)"
    )
    add_training_flags(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Compress; returns the exit code of the training."""
    from imgloc.devices import runtime
    from imgloc.training.preemption import StopRequest

    stop = StopRequest()
    runtime.prepare()

    from imgloc.api.compressing import compressed_config, model_bytes
    from imgloc.runs.run_dir import RunDir

    methods = [name.strip() for name in parsed.method.split(",") if name.strip()]
    if not methods:
        raise UserError("--method is empty; possible: magnitude, gradual, structured, quantize, qat, distill")
    code = train(parsed, lambda: compressed_config(parsed.run, methods, rest), stop, "imgloc data check")
    if code == 0 and RunDir(Path(parsed.workdir)).finished.is_file() and not parsed.quiet and not parsed.json:
        before, after = model_bytes(parsed.run), model_bytes(parsed.workdir)
        print(f"{parsed.run}: {before:,} bytes; {parsed.workdir}: {after:,} bytes (ratio {after / before:.3f})")
    return code
