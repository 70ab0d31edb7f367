"""Times the input pipeline against the training steps that use its batches."""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from benchmarks import jax_side
from benchmarks.measure import Row, measure, repeat
from benchmarks.settings import cores
from benchmarks.works import DIGITS, LSTM, THREE_LAYER_CNN, Work
from imgloc.data.batches import pipeline
from imgloc.data.batches.sampler import IndexSampler
from imgloc.data.images import decode
from imgloc.data.sources import mnist, scattered_digits
from imgloc.data.transforms.pixels import resize_image
from imgloc.devices import mesh, runtime
from imgloc.types import Batch, InputSpec, Uint8Array

AUGMENTED: dict[str, Any] = {"train_rotate": 12.0, "train_stretch": 0.2, "train_shear": 0.15}  # as in configs/digits_cnn.py
PHOTOGRAPH = (375, 500)  # height and width, the most frequent ones in VOC and ImageNet
FADING = 0.8  # ratio of the contrast of an octave to the one before: files are then as large as ImageNet's
PREFETCH = 2


def digit_batches(work: Work, steps: int) -> Iterator[Batch]:
    """Yields the batches of a work's recipe, of MNIST or of scattered digits, made by one thread as in `imgloc train` by default."""
    source = mnist.source("train", seed=0) if work is LSTM else scattered_digits.source("train", seed=0, **AUGMENTED)
    dataset = pipeline.BatchDataset(IndexSampler(source, 0, work.batch, 0, steps), InputSpec((work.size, work.size, work.channels)))
    return pipeline.train_batches(dataset, threads=1, workers=0)


def time_batches(work: Work, count: int) -> float:
    """Returns milliseconds per batch when nothing else runs; the first ones, which start the thread, are not timed."""
    batches = digit_batches(work, count + PREFETCH + 2)
    for _ in range(PREFETCH + 2):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return (time.perf_counter() - start) * 1e3 / count


def time_loop(work: Work, platform: str, steps: int) -> tuple[float, float]:
    """Returns milliseconds per step, and the share of them spent waiting for data, in a loop that waits for each step.

    Data are made ahead while a step is computed; on a CPU both use the same cores.
    """
    devices = mesh.make_mesh(jax.local_devices()[:1])
    init, one_step = jax_side.train_functions(work, platform)
    state = jax.jit(init, compiler_options=runtime.compiler_options_once())(0)
    call = jax.jit(one_step, donate_argnums=0, compiler_options=runtime.compiler_options())
    batches = pipeline.prefetch(digit_batches(work, steps + 3), lambda batch: mesh.put_batch(batch, devices), PREFETCH)
    for _ in range(2):  # compiles
        state, metrics = call(state, next(batches))
        jax.block_until_ready((state, metrics))
    waited, began = 0.0, time.perf_counter()
    for _ in range(steps):
        start = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - start
        state, metrics = call(state, batch)
        jax.block_until_ready((state, metrics))
    total = time.perf_counter() - began
    return total * 1e3 / steps, waited / total


def photographs(count: int, seed: int = 0) -> list[bytes]:
    """Returns JPEG files with the size and spectrum of photographs: a sum of noise from coarse to fine."""
    rng = np.random.default_rng(seed)
    files = []
    for _ in range(count):
        total = np.full((*PHOTOGRAPH, 3), 127.5, np.float32)
        for octave in range(8):
            coarse = rng.integers(0, 256, (3 * 2**octave, 4 * 2**octave, 3), dtype=np.uint8)
            layer = Image.fromarray(coarse).resize(PHOTOGRAPH[::-1], Image.Resampling.BICUBIC)
            total += (np.asarray(layer, np.float32) - 127.5) * 0.5 * FADING**octave
        picture = Image.fromarray(total.clip(0, 255).astype(np.uint8))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=92)
        files.append(buffer.getvalue())
    return files


def time_decoding(size: int, threads: int, *, count: int, quick: bool) -> float:
    """Returns the milliseconds in which some threads read and decode `count` JPEG files and resize them to `size` pixels per side."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
        paths = [Path(folder) / f"{i}.jpg" for i in range(count)]
        for path, content in zip(paths, photographs(count), strict=True):
            path.write_bytes(content)

        def decode_all() -> list[Uint8Array]:
            return list(pool.map(lambda path: resize_image(decode.read_image(path), size, size), paths))

        return statistics.median(repeat(decode_all, quick=quick))


def timed(platform: str, *, quick: bool) -> dict[str, Row]:
    """Returns, by name, the milliseconds of a batch or step, its number of images, and the time of the step that it is compared with."""
    steps = 5 if quick else 60
    rows: dict[str, Row] = {}

    def step_ms(work: Work) -> float:
        return statistics.median(measure(jax_side.make(work, platform=platform, tuned=True), platform=platform, quick=quick))

    for work, name in ((LSTM, "mnist_28px_batch"), (DIGITS, "digits_64px_batch")):
        needed_ms = step_ms(work)
        batch_ms = time_batches(work, steps)
        rows[name] = {"median_ms": batch_ms, "images": work.batch, "against": work.name, "against_ms": needed_ms}
        fed_ms, share = time_loop(work, platform, steps)
        rows[f"{work.name}_fed"] = {
            "median_ms": fed_ms, "images": work.batch, "against": work.name, "against_ms": needed_ms, "waiting_share": share,
        }  # fmt: skip
    cnn_ms = None if quick else step_ms(THREE_LAYER_CNN)  # takes a minute
    for threads in dict.fromkeys((1, cores())):
        ms = time_decoding(THREE_LAYER_CNN.size, threads, count=THREE_LAYER_CNN.batch, quick=quick)
        name = f"jpeg_{THREE_LAYER_CNN.size}px_{threads}_threads"
        rows[name] = {"median_ms": ms, "images": THREE_LAYER_CNN.batch, "against": THREE_LAYER_CNN.name, "against_ms": cnn_ms}
    return rows
