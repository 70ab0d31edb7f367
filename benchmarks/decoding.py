"""Times reading, decoding and augmenting photographs from a folder of JPEG files, as training does."""

from __future__ import annotations

import functools
import io
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.feeding import photographs
from benchmarks.measure import Row
from benchmarks.settings import cores
from imgloc.data.augmentations import photographs as augmentation
from imgloc.data.batches.pipeline import BatchDataset, train_batches
from imgloc.data.batches.sampler import IndexSampler
from imgloc.data.images.decode import decode_image
from imgloc.data.sources import folder as folders
from imgloc.types import Augmentation, Batch, InputSpec

BATCH = 64
WARM_UP = 8  # batches that are not timed: workers and threads start, buffers fill
SECONDS = 6.0
MIN_CROP = 0.5  # smallest share of the image in a random crop
JITTER = 0.2  # largest change of brightness, contrast, saturation
DISTINCT = 128  # different images; files are copies of them


@dataclass(frozen=True)
class Reading:
    """A folder of JPEG files, stored at one size and resized to another."""

    name: str
    stored: tuple[int, int]  # height and width
    size: int  # pixels per side of an image in a batch
    files: int


READINGS = (Reading("jpeg_64", (64, 64), 64, 2048), Reading("jpeg_500_to_224", (375, 500), 224, 256))
IMPLEMENTATIONS = {  # name -> the package that it needs in addition to imgloc's dependencies
    "imgloc_threads": "",
    "imgloc_workers": "",
    "torch_pillow": "torchvision",  # DataLoader with torchvision's transforms on Pillow images, the most common way
    "torch_tensors": "torchvision",  # the fastest way: imgloc's decoder, transforms v2 on uint8 tensors
    "decode_imgloc": "",  # only decoding, in one thread
    "decode_pillow": "",
    "decode_opencv": "",
}
DECODERS: dict[str, Callable[[bytes], object]] = {
    "decode_imgloc": lambda content: decode_image(content).pixels_hxwxc,
    "decode_pillow": lambda content: np.asarray(Image.open(io.BytesIO(content)).convert("RGB")),
    "decode_opencv": lambda content: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB),
}


def find_reading(name: str) -> Reading:
    """Returns the reading with a name."""
    return next(reading for reading in READINGS if reading.name == name)


def make_folder(folder: Path, reading: Reading, *, files: int = 0) -> None:
    """Writes the images of a reading, and a CSV file with one box for each."""
    (folder / "images").mkdir(parents=True)
    height, width = reading.stored
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    contents = photographs(min(DISTINCT, files or reading.files))
    if reading.stored != (375, 500):
        contents = [_resized(content, height, width) for content in contents]
    for number in range(files or reading.files):
        (folder / "images" / f"{number:05d}.jpg").write_bytes(contents[number % len(contents)])
        rows.append(f"{number:05d}.jpg,{width},{height},thing,{width // 4},{height // 4},{width // 2},{height // 2}")
    (folder / "train_labels.csv").write_text("\n".join(rows) + "\n")


def _resized(content: bytes, height: int, width: int) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).resize((width, height), Image.Resampling.BOX).save(file, "JPEG", quality=90)
    return file.getvalue()


def batches(folder: Path, size: int, *, threads: int, workers: int, steps: int) -> Iterator[Batch]:
    """Yields imgloc's batches: random resized crops, flips, color jitter, with boxes."""
    source = folders.source("train", seed=0, folder=str(folder), format="csv", validation=0.0, test=0.0)
    options: dict[str, Any] = {"size": (size, size), "smallest": MIN_CROP, "keep": False}
    options |= {"brightness": JITTER, "contrast": JITTER, "saturation": JITTER}
    augment = Augmentation(functools.partial(augmentation.augment, **options), augmentation.enlarges(**options))
    return train_batches(
        BatchDataset(IndexSampler(source, 0, BATCH, 0, steps), InputSpec((size, size, 3)), augment), threads=threads, workers=workers
    )


def time_batches(batches: Iterator[object], seconds: float) -> float:
    """Returns milliseconds per batch, measured for some seconds after WARM_UP batches."""
    for _ in range(WARM_UP):
        next(batches)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        next(batches)
        count += 1
    return (time.perf_counter() - began) * 1e3 / count


def decoded_batches(folder: Path, decoder: str) -> Iterator[list[object]]:
    """Yields the same BATCH images without end, decoded anew each time."""
    contents = [path.read_bytes() for path in sorted((folder / "images").glob("*.jpg"))[:BATCH]]
    decode = DECODERS[decoder]
    while True:
        yield [decode(content) for content in contents]


def timed(spec: Mapping[str, Any]) -> Row:
    """Returns the milliseconds per batch of one implementation, with as many threads or workers as cores."""
    reading, folder = find_reading(spec["reading"]), Path(spec["folder"])
    seconds = 0.2 if spec["quick"] else SECONDS
    examples: Iterator[object]
    if spec["implementation"] in DECODERS:
        examples = decoded_batches(folder, spec["implementation"])
    elif spec["implementation"].startswith("torch"):
        from benchmarks import torch_decoding

        tensors = spec["implementation"] == "torch_tensors"
        options: dict[str, Any] = {"batch": BATCH, "smallest": MIN_CROP, "factor": JITTER}
        examples = torch_decoding.batches(folder, reading.size, **options, tensors=tensors, workers=cores())
    else:
        use_threads = spec["implementation"] == "imgloc_threads"
        threads, workers = (cores(), 0) if use_threads else (1, cores())
        examples = batches(folder, reading.size, threads=threads, workers=workers, steps=math.ceil(seconds * 1000) + WARM_UP)
    return {"median_ms": time_batches(examples, seconds)}
