"""From a source to batches: order, share of a process, stacking, padding, prefetch.

Where training stands in the data is a function of the step, so nothing but the step is saved.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grain
import numpy as np
from absl import flags

from imgloc.boxes import area
from imgloc.data import decode
from imgloc.randomness import permutation
from imgloc.types import Batch, Example, Shape, Source

T = TypeVar("T")
SAMPLE = 10_000  # examples that stand for an endless source where each is looked at once


@dataclass(frozen=True)
class TrainOrder:
    """The examples that one process reads from `start_step` on, one after another.

    An endless source is read by index. Another is shuffled anew each epoch, and batches run across epochs.
    """

    source: Source
    seed: int
    batch_size: int  # of all processes together
    start_step: int
    stop_step: int
    process_index: int = 0
    process_count: int = 1

    def __len__(self) -> int:
        return (self.stop_step - self.start_step) * (self.batch_size // self.process_count)

    def __getitem__(self, position: int) -> Example:
        share = self.batch_size // self.process_count
        step, place = divmod(position, share)
        index = (self.start_step + step) * self.batch_size + self.process_index * share + place
        if self.source.info.endless:
            return self.source[index]
        epoch, rank = divmod(index, len(self.source))
        return self.source[int(permutation(self.seed, "epoch order", epoch, len(self.source))[rank])]


@dataclass(frozen=True)
class Stack:
    """Stacks examples into a batch of images of one shape with room for `max_objects` boxes."""

    shape: Shape
    max_objects: int

    def __call__(self, examples: Sequence[Example]) -> Batch:
        return stack(examples, len(examples), self.shape, self.max_objects)


def stack(examples: Sequence[Example], size: int, shape: Shape, max_objects: int) -> Batch:
    """A batch of `size`, examples first and padding (zeros, masked out) after them; the largest objects first.

    Images are resized to `shape`; of more than `max_objects` boxes the smallest are left out.
    """
    batch = Batch(
        images_bxhxwxc=np.zeros((size, *shape), np.uint8),
        boxes_bxnx4=np.zeros((size, max_objects, 4), np.float32),
        labels_bxn=np.zeros((size, max_objects), np.int32),
        object_mask_bxn=np.zeros((size, max_objects), np.bool_),
        label_b=np.zeros((size,), np.int32),
        example_mask_b=np.arange(size) < len(examples),
    )
    for i, example in enumerate(examples):
        image = decode.with_channels(example.image_hxwxc, shape[2])
        batch.images_bxhxwxc[i] = decode.resize(image, shape[0], shape[1])
        largest = np.argsort(-area(example.boxes_nx4), kind="stable")[:max_objects]
        batch.boxes_bxnx4[i, : len(largest)] = example.boxes_nx4[largest]
        batch.labels_bxn[i, : len(largest)] = example.labels_n[largest]
        batch.object_mask_bxn[i, : len(largest)] = True
        batch.label_b[i] = example.label
    return batch


def train_batches(order: TrainOrder, shape: Shape, *, max_objects: int, threads: int, workers: int) -> Generator[Batch, None, None]:
    """This process's share of each step's batch, made ahead by threads, or by worker processes where `workers` > 0.

    Closing it ends those and gives their shared memory back.
    """
    share = order.batch_size // order.process_count
    count = order.stop_step - order.start_step
    if workers > 0:  # that come to their end leave shared memory behind (Grain 0.2.18); closed before it they do not
        order = dataclasses.replace(order, stop_step=order.stop_step + 1000 * workers)
    dataset = grain.MapDataset.source(order).batch(share, batch_fn=Stack(shape, max_objects))
    stream = dataset.to_iter_dataset(grain.ReadOptions(num_threads=max(1, threads), prefetch_buffer_size=max(2, 2 * threads)))
    if workers > 0:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain reads absl flags of its own; outside absl's app nobody has parsed them
        options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
        stream = stream.mp_prefetch(options, worker_init_fn=functools.partial(_begin_worker, os.getpid()))
    made = iter(stream)
    try:
        for batch in itertools.islice(made, count):
            # A copy: what JAX still holds at the end would be left behind in shared memory, and each array takes a file handle.
            yield Batch(*(np.array(array) for array in batch)) if workers > 0 else batch
    finally:
        if hasattr(made, "close"):  # Grain's iterators of lately
            made.close()


def in_calls(batches: Iterator[Batch], counts: Iterable[int], size: int) -> Iterator[tuple[Batch, np.int32]]:
    """Batches for calls of several steps: `size` of them on a new leading axis, and how many of those are meant.

    A call of fewer repeats its last batch in the places that are left.
    """
    for count in counts:
        found = list(itertools.islice(batches, count))
        stacked = Batch(*(np.stack(arrays) for arrays in zip(*found, *[found[-1]] * (size - count), strict=True)))
        yield stacked, np.int32(count)


def _begin_worker(parent: int, index: int, count: int) -> None:
    """Tie a worker process to its parent: it leaves stopping to it, and ends where the parent was killed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group by Ctrl-C, timeout, scancel
        signal.signal(number, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def finite_size(source: Source) -> int:
    """How many examples are looked at once: all of them, of an endless source the first SAMPLE."""
    return min(len(source), SAMPLE) if source.info.endless else len(source)


def eval_batches(source: Source, size: int, shape: Shape, *, max_objects: int) -> Iterator[tuple[list[Example], Batch]]:
    """`finite_size` examples in order, each once, with the batch they are stacked in; the last batch is padded."""
    count = finite_size(source)
    for start in range(0, count, size):
        examples = [source[i] for i in range(start, min(start + size, count))]
        yield examples, stack(examples, size, shape, max_objects)


def ahead(items: Iterator[T], put: Callable[[T], T], depth: int) -> Generator[T, None, None]:
    """Items after `put` (onto the devices), with up to `depth` of them put before they are asked for."""
    waiting: collections.deque[T] = collections.deque()
    for item in items:
        waiting.append(put(item))
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from itertools.chain(waiting)
