"""Times making cluttered canvases with NumPy and with XLA, both on the host's processor.

    taskset -c 0 python experiments/glimpses/canvases.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist

Prints milliseconds for a batch of 128 on this process's cores, medians of interleaved turns. XLA's program is the same in the input
pipeline and within a training step. An accelerator would be faster, but a step of recurrent attention takes far longer than either.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imgloc.data import canvases
from imgloc.data.digits import SIDE, load_digits
from imgloc.errors import errors_in_one_line
from imgloc.randomness import generator
from imgloc.types import Uint8Array

BATCH, TURNS = 128, 50
LAYOUTS = {"60x60, 4 pieces": canvases.Layout(60, 4, 8, 1), "100x100, 8 pieces": canvases.Layout(100, 8, 8, 1)}


@errors_in_one_line()
def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=str(Path(os.environ.get("IMGLOC_DATA", "data")) / "mnist"), help="MNIST's four idx files")
    digits = load_digits("train", "idx", parser.parse_args().folder).images_nx28x28
    on_host = canvases.put_on_host(digits)
    print("| milliseconds for 128 canvases | NumPy | XLA |\n|---|---|---|")
    for title, layout in LAYOUTS.items():

        def by_numpy(first: int, layout: canvases.Layout = layout) -> Uint8Array:
            return np.stack([one_by_numpy(digits, index, layout) for index in range(first, first + BATCH)])

        def by_xla(first: int, layout: canvases.Layout = layout) -> Uint8Array:
            indices = np.arange(first, first + BATCH)
            return canvases.make_canvases(0, "measured", indices, indices % len(digits), on_host, layout).images_bxhxw

        print(f"| {title} | " + " | ".join(f"{value:.2f}" for value in in_turns(by_numpy, by_xla)) + " |")


def in_turns(*makers: Callable[[int], Uint8Array]) -> list[float]:
    """Returns the median milliseconds of each function; the first turn, which compiles, is left out."""
    times: list[list[float]] = [[] for _ in makers]
    for turn in range(TURNS + 1):
        for maker, durations in zip(makers, times, strict=True):
            began = time.perf_counter()
            maker(turn * BATCH)
            durations.append(1e3 * (time.perf_counter() - began))
    return [statistics.median(durations[1:]) for durations in times]


def one_by_numpy(digits: Uint8Array, index: int, layout: canvases.Layout) -> Uint8Array:
    """Returns a canvas made by the same procedure with other random numbers."""
    rng, size = generator(0, "measured", index), layout.clutter_size
    crops, positions = SIDE - size + 1, layout.canvas - size + 1
    canvas = np.zeros((layout.canvas, layout.canvas), np.uint16)
    for other, from_y, from_x, y, x in rng.integers((len(digits), crops, crops, positions, positions), size=(layout.clutter, 5)).tolist():
        canvas[y : y + size, x : x + size] += digits[other, from_y : from_y + size, from_x : from_x + size]
    y, x = rng.integers(layout.canvas - SIDE + 1, size=2).tolist()
    canvas[y : y + SIDE, x : x + SIDE] += digits[index % len(digits)]
    return np.minimum(canvas, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
