"""Trains the digits CNN, makes it smaller in several ways, and measures accuracy, bytes and time of each file.

    python experiments/compression/run.py [--runs runs/compression] [--seeds 0 1 2] [--arms float int8-static ...]
    python experiments/compression/run.py --time      # measures the times of the files again, in turns
    python experiments/compression/run.py --table     # prints the table of results.json

Finished runs and files are kept, and runs that were interrupted go on. `--steps 20` is for a trial of the commands.
"""

from __future__ import annotations

import argparse
import functools
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[2]))

from imgloc import files
from imgloc.api.compressing import model_bytes
from imgloc.cli.main import main as imgloc
from imgloc.deployment.locate_exported import open_onnx
from imgloc.devices import runtime
from imgloc.evaluation.exported import rows_name
from imgloc.evaluation.statistics import t_interval
from imgloc.experiments.curves import finish, picture
from imgloc.runs.provenance import describe_environment, git_commit
from imgloc.runs.run_dir import RunDir

RESULTS = Path(__file__).parent / "results.json"
PICTURE = RESULTS.with_name("frontier.svg")
METRIC = "top1_loc_50"  # class and box are correct
BATCHES = (1, 64)
STUDENT = ("--config.model.look=(32, 64, 64)", "--config.model.hidden=64")


class Arm(NamedTuple):
    """A way to a smaller model."""

    title: str
    run: str = "float"  # the run folder; arms of one run differ in their files
    methods: str = ""  # of imgloc compress; "": the run is trained by imgloc train
    overrides: tuple[str, ...] = ()
    int8: str = ""  # of imgloc export; "": the ONNX file is in float


ARMS: Mapping[str, Arm] = {
    "float": Arm("float"),
    "int8-static": Arm("int8 weights and activations", int8="static"),
    "int8-dynamic": Arm("int8 weights of dense layers", int8="dynamic"),
    "pruned": Arm("pruned", "pruned", "gradual"),
    "distilled": Arm("distilled", "distilled", "distill", STUDENT),
    "distilled-int8": Arm("distilled, int8 weights", "distilled-qat", "distill,qat", STUDENT),
    "distilled-int8-static": Arm("distilled, int8 weights and activations", "distilled-qat", "distill,qat", STUDENT, "static"),
    "pruned-int8": Arm(
        "pruned, distilled, int8 weights", "pruned-qat", "gradual,distill,qat", ("--config.compression.sparsity=0.8",)
    ),
    "distilled-pruned-int8": Arm(
        "distilled, pruned, int8 weights", "distilled-pruned-qat", "gradual,distill,qat", (*STUDENT, "--config.compression.sparsity=0.5")
    ),
}  # fmt: skip


def command(*arguments: str) -> None:
    """Run an imgloc command, which is printed. Raises RuntimeError where it fails."""
    print(f"$ imgloc {shlex.join(arguments)}", flush=True)
    if code := imgloc(arguments):
        raise RuntimeError(f"imgloc {arguments[0]} ended with exit code {code}")


def train(arm: Arm, folder: Path, seed: int, steps: int) -> RunDir:
    """The finished run of an arm and a seed. It is trained where it is missing, and resumed where it was interrupted."""
    run = RunDir(folder / f"{arm.run}-{seed}")
    extra = [f"--config.train.steps={steps}"] if steps else []
    if not run.finished.is_file():
        begin = ["compress", str(folder / f"float-{seed}"), "--method", arm.methods] if arm.methods else ["train", "--config", "digits_cnn"]
        command(*begin, "--workdir", str(run.path), "--quiet", f"--config.seed={seed}", *extra, *arm.overrides)
    if not run.finished.is_file():
        raise RuntimeError(f"the training of {run.path} was stopped; the same command goes on with it")
    return run


def measure(arm: Arm, folder: Path, seed: int, steps: int) -> dict[str, Any]:
    """The accuracy of an arm's file on the test split, and the bytes of the bundle and of the ONNX file."""
    run = train(arm, folder, seed, steps)
    file = onnx_file(arm, folder, seed)
    if not file.is_file():
        command("export", str(run.path), "--to", "onnx", "--no-compare", "--quiet", *(["--int8", arm.int8] if arm.int8 else []))
    name = f"test@{rows_name(file)}"
    command("evaluate", str(run.path), "--predictor", str(file), "--quiet")
    score = run.known_results()[name][METRIC]["mean"]
    return {"score": score, "bundle": None if arm.int8 else model_bytes(run.path), "onnx": file.stat().st_size}


def onnx_file(arm: Arm, folder: Path, seed: int) -> Path:
    """The path of the ONNX file of an arm and a seed, which `imgloc export` chooses."""
    return folder / f"{arm.run}-{seed}" / "deployment" / f"model{'-int8-' + arm.int8 if arm.int8 else ''}.onnx"


def milliseconds(call: Callable[[], Any], at_least: float = 0.3) -> float:
    """The mean time of a call, over enough calls to fill a part of a second."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < at_least or count < 3:
        call()
        count += 1
    return 1000 * (time.perf_counter() - start) / count


def times(found: Mapping[str, Path], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each file by batch, in interleaved rounds: a slow moment of the machine meets all of them."""
    runs = {name: open_onnx(file.read_bytes()) for name, file in found.items()}
    measured: dict[str, dict[str, list[float]]] = {name: {str(batch): [] for batch in BATCHES} for name in runs}
    for batch in BATCHES:
        images = np.random.default_rng(0).integers(0, 256, (batch, 64, 64, 1), dtype=np.uint8)
        for i in range(rounds + 1):
            for name, run in runs.items():
                spent = milliseconds(functools.partial(run, images))
                if i:  # the first round warms up
                    measured[name][str(batch)].append(spent)
    return measured


def table(results: Mapping[str, Any]) -> str:
    """The table of the README."""
    lines = ["| model | class and box correct | bundle, bytes | ONNX, bytes | smaller file / float | batch 1, ms | images/s, batch 64 |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    if not results["arms"]:
        return "\n".join(lines)
    reference = min(size_of(results["arms"]["float"]))
    for name, runs in results["arms"].items():
        first = next(iter(runs.values()))
        bundle = f"{first['bundle']:,}" if first["bundle"] else ""
        lines.append(
            f"| {ARMS[name].title} | {shown(runs)} | {bundle} | {first['onnx']:,} | {min(size_of(runs)) / reference:.3f} | "
            f"{spent_on(results, name, 1, '.2f')} | {spent_on(results, name, 64, '.0f')} |"
        )
    return "\n".join(lines)


def size_of(runs: Mapping[str, Any]) -> list[int]:
    """The bytes of the files of an arm: its bundle, if it has one of its own, and its ONNX file."""
    first = next(iter(runs.values()))
    return [size for size in (first["bundle"], first["onnx"]) if size]


def shown(runs: Mapping[str, Any]) -> str:
    """The mean over seeds in per cent with its 95 % t interval; of one seed, its value alone."""
    scores = [run["score"] for run in runs.values()]
    if len(scores) < 2:
        return f"{100 * scores[0]:.1f}"
    found = t_interval(scores)
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def spent_on(results: Mapping[str, Any], name: str, batch: int, form: str) -> str:
    """The median milliseconds of a batch of one image, or images a second of a larger batch; "" where not measured."""
    spent = results.get("milliseconds", {}).get(name, {}).get(str(batch))
    if not spent:
        return ""
    median = statistics.median(spent)
    return f"{median if batch == 1 else 1000 * batch / median:{form}}"


def frontier(results: Mapping[str, Any]) -> bytes:
    """A picture of accuracy against bytes."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, runs in results["arms"].items():
            scores = [100 * run["score"] for run in runs.values()]
            axes.plot([min(size_of(runs)) / 1000] * len(scores), scores, "o", label=ARMS[name].title, markersize=4)
        axes.set_xscale("log")
        axes.set_xlabel("kilobytes of the smaller file")
        axes.set_ylabel("class and box correct, %")
        finish(axes)

    return picture(draw, (6.5, 4.0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and print the table; the results are written after each arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/compression"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--rounds", type=int, default=5, help="of the times")
    parser.add_argument("--steps", type=int, default=0, help="of each training, for a trial; 0: as the recipe")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--time", action="store_true", help="measure only times")
    parser.add_argument("--table", action="store_true", help="print the table of the results")
    parsed = parser.parse_args(arguments)
    results: dict[str, Any] = files.read_json(parsed.out) if parsed.out.is_file() else {"arms": {}}
    if not parsed.table:
        runtime.prepare()
        for seed in parsed.seeds if not parsed.time else ():
            for name in dict.fromkeys(["float", *parsed.arms]):
                results["arms"].setdefault(name, {})[str(seed)] = measure(ARMS[name], parsed.runs, seed, parsed.steps)
                results |= {**git_commit(), **describe_environment()}
                files.write_json(parsed.out, results)
        present = {name: onnx_file(ARMS[name], parsed.runs, parsed.seeds[0]) for name in results["arms"]}
        results["milliseconds"] = times(present, parsed.rounds)
        files.write_json(parsed.out, results)
        parsed.out.with_name(PICTURE.name).write_bytes(frontier(results))
    print(table(results))


if __name__ == "__main__":
    main()
