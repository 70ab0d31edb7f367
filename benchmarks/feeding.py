"""Whether data come as fast as they are used: batches made a second against steps done a second."""

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
from benchmarks.measure import measure, repeat
from benchmarks.settings import cores
from benchmarks.works import DIGITS, LSTM, SEED, Work
from imgloc.data.batches import pipeline
from imgloc.data.batches.sampler import IndexSampler
from imgloc.data.images import decode
from imgloc.data.sources import mnist, scattered_digits
from imgloc.data.transforms.pixels import resized
from imgloc.devices import mesh, runtime
from imgloc.types import Batch, InputSpec

AUGMENTED: dict[str, Any] = {"train_rotate": 12.0, "train_stretch": 0.2, "train_shear": 0.15}  # as in configs/digits_cnn.py
PHOTOGRAPH = (375, 500)  # height and width, the commonest of VOC and ImageNet
FADING = 0.8  # of each octave's contrast to the one before: files then weigh what ImageNet's do
PREFETCH = 2


def digit_batches(work: Work, steps: int) -> Iterator[Batch]:
    """Batches as a work's recipe reads them, MNIST's digits or scattered ones, made by one thread, as `imgloc train` does by default."""
    source = mnist.source("train", seed=0) if work is LSTM else scattered_digits.source("train", seed=0, **AUGMENTED)
    made = pipeline.BatchDataset(IndexSampler(source, 0, work.batch, 0, steps), InputSpec((work.size, work.size, work.channels)))
    return pipeline.train_batches(made, threads=1, workers=0)


def making_a_batch(work: Work, count: int) -> float:
    """Milliseconds a batch when nothing else is done; the first ones, which start the thread, are not counted."""
    batches = digit_batches(work, count + PREFETCH + 2)
    for _ in range(PREFETCH + 2):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return (time.perf_counter() - start) * 1e3 / count


def loop(work: Work, platform: str, steps: int) -> tuple[float, float]:
    """Milliseconds a step and the share of them spent waiting for data, in a loop that waits for each step.

    Data are made ahead while the step is computed, on the same cores where it runs on a CPU.
    """
    placed = mesh.make_mesh(jax.local_devices()[:1])
    init, one_step = jax_side.train_functions(work, platform)
    state = jax.jit(init, compiler_options=runtime.compiler_options_once())(0)
    call = jax.jit(one_step, donate_argnums=0, compiler_options=runtime.compiler_options())
    batches = pipeline.ahead(digit_batches(work, steps + 3), lambda batch: mesh.put_batch(batch, placed), PREFETCH)
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
    whole = time.perf_counter() - began
    return whole * 1e3 / steps, waited / whole


def photographs(count: int, seed: int = 0) -> list[bytes]:
    """JPEG files of the size and, by their spectrum, the detail of photographs: smooth shades with finer and finer noise."""
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


def decoding(size: int, threads: int, *, count: int, quick: bool) -> float:
    """Milliseconds to read and decode `count` JPEG files and resize them to `size` pixels a side, by some threads."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
        paths = [Path(folder) / f"{i}.jpg" for i in range(count)]
        for path, content in zip(paths, photographs(count), strict=True):
            path.write_bytes(content)

        def work_through() -> list[Any]:
            return list(pool.map(lambda path: resized(decode.read_image(path), size, size), paths))

        return statistics.median(repeat(work_through, quick=quick))


def timed(platform: str, *, quick: bool) -> dict[str, dict[str, Any]]:
    """Name -> milliseconds a batch or step, its images, and what it is held against."""
    steps = 5 if quick else 60
    found: dict[str, dict[str, Any]] = {}

    def step_ms(work: Work) -> float:
        return statistics.median(measure(jax_side.make(work, platform=platform, tuned=True), platform=platform, quick=quick))

    for work, name in ((LSTM, "mnist_28px_batch"), (DIGITS, "digits_64px_batch")):
        needed = step_ms(work)
        made = making_a_batch(work, steps)
        found[name] = {"median_ms": made, "images": work.batch, "against": work.name, "against_ms": needed}
        whole, share = loop(work, platform, steps)
        found[f"{work.name}_fed"] = {
            "median_ms": whole, "images": work.batch, "against": work.name, "against_ms": needed, "waiting_share": share,
        }  # fmt: skip
    seed_ms = None if quick else step_ms(SEED)  # a minute of work
    for threads in dict.fromkeys((1, cores())):
        ms = decoding(SEED.size, threads, count=SEED.batch, quick=quick)
        name = f"jpeg_{SEED.size}px_{threads}_threads"
        found[name] = {"median_ms": ms, "images": SEED.batch, "against": SEED.name, "against_ms": seed_ms}
    return found
