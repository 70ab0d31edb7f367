"""Times each batch transform, compiled for a CPU, beside the same change of images on the host; both on one core.

python experiments/batch_transforms/run.py            # a minute; writes results.json
python experiments/batch_transforms/run.py --table    # prints the table
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imgloc import files
from imgloc.devices import runtime
from imgloc.runs.provenance import describe_environment, git_commit

RESULTS = Path(__file__).parent / "results.json"
CASES = ((64, 64), (8, 320))  # batch, side
ROUNDS, CLASSES, OBJECTS = 21, 100, 8
CROP = {"area": (0.3, 1.0), "aspect": (3 / 4, 4 / 3), "visible": 0.3}
COLOR = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}


def host_functions(batch: Any) -> dict[str, Callable[[], Any]]:
    """Returns a function for each transform that changes all images of a batch, one by one, with NumPy and OpenCV."""
    import cv2

    from imgloc.data.transforms import color, geometry
    from imgloc.data.transforms.pixels import resize_image
    from imgloc.types import Example

    random, images = np.random.default_rng(0), batch.images_bxhxwxc
    size, side = images.shape[:2]
    examples = [Example(images[i], batch.boxes_bxnx4[i], batch.labels_bxn[i], 0, "", "") for i in range(size)]

    def each(change: Callable[..., Example], **options: Any) -> None:
        np.stack([change(example, random, **options).image_hxwxc for example in examples])

    def mixup() -> None:
        weight_b, partner_b = random.beta(0.2, 0.2, size), random.permutation(size)
        np.stack([cv2.addWeighted(images[i], w, images[j], 1 - w, 0) for i, (w, j) in enumerate(zip(weight_b, partner_b, strict=True))])

    def cutmix() -> None:
        mixed = images.copy()
        for i, j in enumerate(random.permutation(size)):
            half, (x, y) = int(side * np.sqrt(random.random())) // 2, random.integers(0, side, 2)
            rows, columns = (slice(max(center - half, 0), center + half) for center in (y, x))
            mixed[i, rows, columns] = images[j, rows, columns]

    def mosaic() -> None:
        mixed = np.empty_like(images)
        for i in range(size):
            x, y = random.integers(side // 4, 3 * side // 4, 2)
            tiles = ((0, 0, x, y), (x, 0, side, y), (0, y, x, side), (x, y, side, side))
            for j, (x0, y0, x1, y1) in zip(random.integers(0, size, 4), tiles, strict=True):
                w, h = x1 - x0, y1 - y0
                scale = max(random.uniform(0.5, 1.0), w / side, h / side)
                part_w, part_h = round(w / scale), round(h / scale)
                left, top = random.integers(side - part_w + 1), random.integers(side - part_h + 1)
                mixed[i, y0:y1, x0:x1] = resize_image(images[j, top : top + part_h, left : left + part_w], h, w)

    return {
        "mixup": mixup, "cutmix": cutmix, "mosaic": mosaic,
        "random_resized_crop": functools.partial(each, geometry.random_resized_crop, **CROP),
        "color_jitter": functools.partial(each, color.color_jitter, **COLOR),
        "horizontal_flip": functools.partial(each, geometry.random_horizontal_flip),
    }  # fmt: skip


def device_functions(batch: Any) -> dict[str, Callable[[], Any]]:
    """Returns a function for each transform that calls it, compiled, on a batch."""
    import jax

    from imgloc.config import build

    options: dict[str, Mapping[str, Any]] = {"random_resized_crop": CROP, "color_jitter": COLOR}
    arrays, key = jax.tree.map(jax.numpy.asarray, batch), jax.random.key(0)
    functions = {}
    for name in ("mixup", "cutmix", "mosaic", "random_resized_crop", "color_jitter", "horizontal_flip"):
        (transform,) = build.make_batch_transforms([{"name": name, **options.get(name, {})}], CLASSES)
        compiled = jax.jit(transform, compiler_options=runtime.compiler_options()).lower(arrays, key).compile()
        functions[name] = lambda compiled=compiled: jax.block_until_ready(compiled(arrays, key))
    return functions


def random_batch(size: int, side: int) -> Any:
    """Returns random images of `side` pixels, with random boxes of the class 0."""
    from imgloc.types import Batch

    random = np.random.default_rng(0)
    low = random.uniform(0, 0.5, (size, OBJECTS, 2))
    boxes = np.concatenate([low, low + random.uniform(0.1, 0.5, (size, OBJECTS, 2))], axis=-1).astype(np.float32)
    return Batch(
        random.integers(0, 256, (size, side, side, 3), dtype=np.uint8), boxes, np.zeros((size, OBJECTS), np.int32),
        np.ones((size, OBJECTS), bool), np.zeros(size, np.int32), np.ones(size, bool), np.tile(np.float32([0, 0, 1, 1]), (size, 1)),
    )  # fmt: skip


def measure() -> None:
    """Times all functions in turns and writes results.json."""
    rows = []
    for size, side in CASES:
        batch = random_batch(size, side)
        functions = {"device": device_functions(batch), "host": host_functions(batch)}
        turns = [(where, name) for name in functions["device"] for where in functions]
        seconds: dict[tuple[str, str], list[float]] = {turn: [] for turn in turns}
        for _ in range(ROUNDS + 1):
            for where, name in turns:
                began = time.process_time()
                functions[where][name]()
                seconds[where, name].append(time.process_time() - began)
        for name in functions["device"]:
            per_second = {where: round(size / statistics.median(seconds[where, name][1:])) for where in functions}
            rows.append({"transform": name, "batch": size, "side": side, **per_second})
    where = describe_environment()
    versions = {"python": where["python"], "jaxlib": importlib.metadata.version("jaxlib"), "machine": where["machine"]}
    files.write_json(RESULTS, {**git_commit(), **versions, "rows": rows})


def table() -> None:
    """Prints the saved results."""
    results = files.read_json(RESULTS)
    print(f"{results['machine']}, jaxlib {results['jaxlib']}, Python {results['python']}, commit {results['commit'][:7]}\n")
    print("| transform | images | device, images/s | host, images/s | device / host |\n|---|---|---|---|---|")
    for row in results["rows"]:
        title = f"{row['batch']} of {row['side']}x{row['side']}"
        print(f"| `{row['transform']}` | {title} | {row['device']:,} | {row['host']:,} | {row['device'] / row['host']:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the saved results")
    if not parser.parse_args().table:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX makes its threads
        runtime.prepare()
        measure()
    table()
