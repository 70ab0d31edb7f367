"""Times imgloc beside plain linen layers, PyTorch and Keras with `python -m benchmarks`, and prints the tables of the README.

python experiments/speed/run.py                        # half an hour, nothing else running; needs the extra `bench`
python experiments/speed/run.py --beside python3.13    # imgloc and linen on another Python in turns with PyTorch on this one
python experiments/speed/run.py --cells                # every recurrent cell, tuned; under a quarter of an hour
python experiments/speed/run.py --attention            # recurrent attention; five minutes
python experiments/speed/run.py --memory               # imgloc's peak resident memory, tuned and not; ten minutes
python experiments/speed/run.py --table                # prints the tables of this folder's rows
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import rounds, works
from imgloc import files

HERE = Path(__file__).parent
MEMORY, CELLS, ATTENTION = (HERE / f"{name}.jsonl" for name in ("memory", "cells", "attention"))
ORDINARY = ",".join(work.name for work in works.STEP if work.model not in works.GLIMPSES and not work.accelerator_only)
PASSES = (  # one command each; implementations that are never the fastest are not timed everywhere
    (f"--works={ORDINARY}", "--implementations=imgloc,linen,torch_eager,torch_channels_last"),
    ("--works=three_layer_cnn_224,lstm_28", "--implementations=imgloc,keras,keras_inner"),
    ("--works=efficientnet_lite0_224_b1,efficientnet_lite0_224_b8", "--implementations=imgloc,torch_compiled", "--settings=tuned"),
)
KERAS_CELLS = ",".join(work.name for work in works.CELLS if not works.unavailable(work, "keras_inner"))
CELL_PASSES = (
    ("--implementations=imgloc,linen,torch_eager", "--settings=tuned", "--processes=2"),
    ("--works=lstm_rows,gru_rows,lstm_pixels,gru_pixels", "--implementations=imgloc,torch_eager", "--settings=box", "--processes=1"),
    (f"--works={KERAS_CELLS}", "--implementations=imgloc,keras_inner", "--settings=tuned", "--processes=1"),
)
ROUNDS, MEMORY_ROUNDS = 3, 3
TORCH, KERAS = ("torch_eager", "torch_channels_last", "torch_compiled"), ("keras", "keras_inner")
Row: TypeAlias = dict[str, Any]


def bench(python: str, *options: str, group: str = "step") -> list[Row]:
    """Runs `python -m benchmarks` for a group of works under an interpreter; returns its rows."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rows.jsonl"
        subprocess.run([python, "-m", "benchmarks", group, *options, f"--json={target}"], check=True)
        return [json.loads(line) for line in target.read_text().splitlines()]


def write(rows: list[Row]) -> None:
    """Writes rows of an interpreter to the file of its version."""
    version = ".".join(next(row for row in rows if row["implementation"] == "imgloc")["python"].split(".")[:2])
    files.write_text(HERE / f"python{version}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def beside(other: str) -> None:
    """Times imgloc and linen on another Python and PyTorch on this one, in turns; writes medians over rounds."""
    measured: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for _, setting in itertools.product(range(ROUNDS), ("tuned", "box")):
        rows = bench(other, "--implementations=imgloc,linen", f"--settings={setting}", "--processes=1")
        rows += bench(sys.executable, "--implementations=torch_eager,torch_channels_last", f"--settings={setting}", "--processes=1")
        for row in rows:
            measured[row["work"], row["implementation"], setting].append(row)
    merged = []
    for same in measured.values():
        times = [row["median_ms"] for row in same]
        merged.append({**same[0], "median_ms": statistics.median(times), "low_ms": min(times), "high_ms": max(times), "n": len(times)})
    ours = {(row["work"], row["setting"]): row["median_ms"] for row in merged if row["implementation"] == "imgloc"}
    write([{**row, "ratio": round(ours[row["work"], row["setting"]] / row["median_ms"], 4)} for row in merged])


def cells() -> None:
    """Times every recurrent cell beside linen's, PyTorch's and Keras's and writes cells.jsonl."""
    rows = [row for options in CELL_PASSES for row in bench(sys.executable, *options, group="cells")]
    files.write_text(CELLS, "".join(json.dumps(row) + "\n" for row in rows))


def attention() -> None:
    """Times recurrent attention beside the same model in PyTorch and writes attention.jsonl."""
    options = ("--works=ram_mnist,ram_cluttered", "--implementations=imgloc,torch_eager", f"--processes={ROUNDS}")
    files.write_text(ATTENTION, "".join(json.dumps(row) + "\n" for row in bench(sys.executable, *options)))


def cells_table() -> None:
    """Prints imgloc's time per step for each cell and its ratio to linen's, PyTorch's and Keras's cells."""
    rows = [json.loads(line) for line in CELLS.read_text().splitlines()]
    ours = next(row for row in rows if row["implementation"] == "imgloc")
    print(f"Python {ours['python']}, JAX {ours['versions']['jax']}, {ours['machine']}, commit {ours['commit'][:7]}\n")
    print("| work | parameters | imgloc, ms | to linen's own | to PyTorch | to Keras | to the floor |")
    print("|---|---|---|---|---|---|---|")
    for work in dict.fromkeys(row["work"] for row in rows):
        same = [row for row in rows if row["work"] == work]
        time, torch, linen, keras, floor, _ = columns(same)
        parameters = next(row["parameters"] for row in same if row["implementation"] == "imgloc")
        print(f"| {work} | {parameters:,} | {time} | {linen} | {torch} | {keras} | {floor} |")
    print()


def memory() -> None:
    """Measures peak memory and time of imgloc's step with IMGLOC_TUNE=1 and 0, in turns; writes medians to memory.jsonl."""
    rows, machine = [], rounds.describe_machine("step", [], quick=True)
    for work in works.for_platform(works.STEP, machine["platform"], named=False):
        spec = {"task": "time", "group": "step", "work": work.name, "implementation": "imgloc", "setting": "box"}
        measured: dict[str, list[Row]] = {"1": [], "0": []}
        for number in range(MEMORY_ROUNDS):
            for tune, results in measured.items():
                print(f"{work.name}  IMGLOC_TUNE={tune}  process {number + 1} of {MEMORY_ROUNDS}", file=sys.stderr, flush=True)
                os.environ["IMGLOC_TUNE"] = tune
                results.append(rounds.run_worker({**spec, "platform": machine["platform"], "quick": False}, "box"))
        for tune, results in measured.items():
            row = {"work": work.name, "tuned": tune == "1", "n": len(results)}
            for key in ("peak_mib", "median_ms"):
                values = [result[key] for result in results]
                row |= {key: round(statistics.median(values), 4), f"{key}_low": round(min(values), 4), f"{key}_high": round(max(values), 4)}
            rows.append({**row, **rounds.about(machine)})
    files.write_text(MEMORY, "".join(json.dumps(row) + "\n" for row in rows))


def memory_table() -> None:
    """Prints the peak resident memory of each work, tuned and untuned, with the ratios of memory and of time."""
    rows = [json.loads(line) for line in MEMORY.read_text().splitlines()]
    print(f"Python {rows[0]['python']}, JAX {rows[0]['versions']['jax']}, {rows[0]['machine']}, commit {rows[0]['commit'][:7]}\n")
    print("| work | tuned, MiB | untuned, MiB | ratio | ratio of times |")
    print("|---|---|---|---|---|")
    for work in dict.fromkeys(row["work"] for row in rows):
        tuned, plain = (next(row for row in rows if row["work"] == work and row["tuned"] is side) for side in (True, False))
        sizes = [f"{row['peak_mib']:.0f} ({row['peak_mib_low']:.0f} to {row['peak_mib_high']:.0f})" for row in (tuned, plain)]
        ratios = [f"{tuned[key] / plain[key]:.2f}" for key in ("peak_mib", "median_ms")]
        print(f"| {work} | {' | '.join([*sizes, *ratios])} |")
    print()


def table() -> None:
    """Prints imgloc's times and its ratios to the fastest of the others, tuned and (in brackets) with default settings."""
    for path in [*sorted(HERE.glob("python*.jsonl")), *HERE.glob("attention.jsonl")]:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        ours = next(row for row in rows if row["implementation"] == "imgloc")
        print(f"Python {ours['python']}, JAX {ours['versions']['jax']}, {ours['machine']}, commit {ours['commit'][:7]}\n")
        print("| work | imgloc, ms | to PyTorch's best | to plain linen layers | to Keras | to the floor | memory |")
        print("|---|---|---|---|---|---|---|")
        for work in dict.fromkeys(row["work"] for row in rows):
            print(f"| {work} | " + " | ".join(columns([row for row in rows if row["work"] == work])) + " |")
        print()


def columns(rows: list[Row]) -> list[str]:
    """Returns the columns of one work."""
    first = {(row["implementation"], row["setting"]): row for row in reversed(rows)}
    ours = first["imgloc", "tuned"]
    memory = "-"
    if ("linen", "box") in first:
        memory = f"{first['imgloc', 'box']['peak_mib'] / first['linen', 'box']['peak_mib']:.2f}"
    time = f"{ours['median_ms']:.3g} ({ours['low_ms']:.3g} to {ours['high_ms']:.3g})"
    peak = max(row["peak_gflops"] for row in rows)
    floor = f"{ours['median_ms'] * peak / ours['gflop'] / 1e3:.1f}" if ours["gflop"] else "-"
    return [time, both(first, TORCH), both(first, ("linen",)), both(first, KERAS), floor, memory]


def both(first: dict[tuple[str, str], Row], names: tuple[str, ...]) -> str:
    """Returns the ratio to the fastest of these implementations: tuned, and with default settings in brackets."""

    def largest(setting: str) -> str:
        ratios = [row["ratio"] for (name, where), row in first.items() if name in names and where == setting and row["ratio"]]
        return f"{max(ratios):.2f}" if ratios else ""

    tuned, box = largest("tuned"), largest("box")
    return f"{tuned} ({box})" if box else tuned or "-"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the saved results")
    parser.add_argument("--cells", action="store_true", help="time the recurrent cells")
    parser.add_argument("--attention", action="store_true", help="measure recurrent attention")
    parser.add_argument("--memory", action="store_true", help="measure memory, tuned and not")
    parser.add_argument("--beside", metavar="PYTHON", help="another interpreter with imgloc installed")
    parsed = parser.parse_args()
    if parsed.table:
        table()
        if CELLS.exists():
            cells_table()
        if MEMORY.exists():
            memory_table()
    elif parsed.cells:
        cells()
        cells_table()
    elif parsed.attention:
        attention()
        table()
    elif parsed.memory:
        memory()
    elif parsed.beside:
        beside(parsed.beside)
    else:
        write([row for options in PASSES for row in bench(sys.executable, f"--processes={ROUNDS}", *options)])
