"""Times sliding windows of gradient histograms beside scikit-learn on scikit-image's HOG, and prints the table.

    python experiments/classical/sliding_window_speed.py [--images 64]

All sides score the same windows of the same canvases: those of a detector with ten linear machines, whose weights are random, because
they have no effect on the time. `each window`: scikit-image's HOG of every window that is cut from a resized image, and
`LinearSVC.decision_function`. `each level`: HOG once for a resized image, whose blocks are then gathered for every window. Sides take
turns in one process; times are medians, and the processor time is that of all threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from skimage.feature import hog
from skimage.transform import resize
from sklearn.svm import LinearSVC

from imgloc.data.sources import scattered_digits
from imgloc.devices import runtime
from imgloc.models.classical.windows import WindowPyramid, block_maps, responses
from imgloc.types import FloatArray

PYRAMID = WindowPyramid(window=28, cell=4, orientations=9, sides=(0.35, 0.42, 0.51, 0.61, 0.73, 0.88))  # defaults of sliding_window
CLASSES, REPEATS = 10, 5
HOG = {"orientations": PYRAMID.orientations, "pixels_per_cell": (PYRAMID.cell, PYRAMID.cell), "cells_per_block": (2, 2)}


def machines() -> LinearSVC:
    """Returns ten linear machines with random weights."""
    size = PYRAMID.blocks**2 * PYRAMID.depth
    svm = LinearSVC()
    rng = np.random.default_rng(0)
    svm.coef_, svm.intercept_, svm.classes_ = rng.normal(size=(CLASSES, size)) / size, np.zeros(CLASSES), np.arange(CLASSES)
    svm.n_features_in_ = size
    return svm


def levels(image_hxw: FloatArray) -> list[FloatArray]:
    """Returns the resized images, with the margin of the pyramid."""
    sizes = (PYRAMID.size(*image_hxw.shape, side) for side in PYRAMID.sides)
    return [np.pad(resize(image_hxw, size, anti_aliasing=True), PYRAMID.margin, mode="edge") for size in sizes]


def each_window(images: FloatArray, svm: LinearSVC) -> int:
    """Scores every window with its own histograms; returns the number of windows of an image."""
    for image in images:
        count = 0
        for level in levels(image):
            places = np.lib.stride_tricks.sliding_window_view(level, (PYRAMID.window,) * 2)[:: PYRAMID.cell, :: PYRAMID.cell]
            windows = places.reshape(-1, PYRAMID.window, PYRAMID.window)
            svm.decision_function(np.array([hog(window, **HOG) for window in windows]))
            count += len(windows)
    return count


def each_level(images: FloatArray, svm: LinearSVC) -> int:
    """Scores every window from the blocks of its level; returns the number of windows of an image."""
    for image in images:
        count = 0
        for level in levels(image):
            blocks = hog(level, feature_vector=False, **HOG).reshape(-1, level.shape[1] // PYRAMID.cell - 1, PYRAMID.depth)
            views = np.lib.stride_tricks.sliding_window_view(blocks, (PYRAMID.blocks,) * 2, axis=(0, 1))
            windows = views.transpose(0, 1, 3, 4, 2).reshape(-1, PYRAMID.blocks**2 * PYRAMID.depth)
            svm.decision_function(windows)
            count += len(windows)
    return count


def compiled(svm: LinearSVC) -> Callable[[FloatArray], int]:
    """Returns imgloc's function of a batch, which returns the number of windows of an image."""
    weights = jnp.asarray(svm.coef_.T.reshape(PYRAMID.blocks, PYRAMID.blocks, PYRAMID.depth, CLASSES), jnp.float32)
    score = jax.jit(lambda images: responses(block_maps(images[..., None], PYRAMID), weights), compiler_options=runtime.compiler_options())
    return lambda images: jax.block_until_ready(score(jnp.asarray(images, jnp.float32))).shape[1]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="of a batch (default: 64)")
    count = parser.parse_args().images
    runtime.prepare()
    source = scattered_digits.source("test", seed=0)
    images = np.stack([source[i].image_hxwxc[..., 0] for i in range(count)]).astype(np.float64) / 255
    svm = machines()
    ours = compiled(svm)
    sides: dict[str, tuple[Callable[[FloatArray], int], FloatArray]] = {
        "imgloc": (ours, images),
        "scikit-learn, each level": (lambda part: each_level(part, svm), images),
        "scikit-learn, each window": (lambda part: each_window(part, svm), images[: max(1, count // 16)]),
    }
    windows = {name: function(part) for name, (function, part) in sides.items()}
    assert len(set(windows.values())) == 1, f"the sides score different windows: {windows}"
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(REPEATS):
        for name, (function, part) in sides.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            function(part)
            times[name].append(((time.perf_counter() - start) / len(part), (time.process_time() - start_cpu) / len(part)))
    print(f"| {windows['imgloc']:,} windows of 64x64 pixels | images/s | of processor time | imgloc is faster by |\n|:---|---|---|---|")
    reference = statistics.median(wall for wall, _ in times["imgloc"])
    for name, pairs in times.items():
        wall, cpu = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"| {name} | {1 / wall:.3g} | {1 / cpu:.3g} | {wall / reference:.1f} |")


if __name__ == "__main__":
    main()
