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
from typing import Any, TypeVar

import grain
import numpy as np
from absl import flags

from imgloc.boxes import area
from imgloc.data import decode
from imgloc.randomness import permutation
from imgloc.types import Batch, Example, InMemory, Shape, Source, Uint8Array

T = TypeVar("T")
SAMPLE = 10_000  # examples that stand for an endless or a very long source where each is looked at once
VERY_LONG = 100_000  # examples, more than which are not all looked at before a run is scored


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
        return (self.stop_step - self.start_step) * self.share

    @property
    def share(self) -> int:
        """Examples of each batch that are this process's."""
        return self.batch_size // self.process_count

    def __getitem__(self, position: int) -> Example:
        return self.source[self.index(*divmod(position, self.share))]

    def index(self, step: int, place: int) -> int:
        """The source's index of what stands at a place of this process's share, `step` steps after the first."""
        number = (self.start_step + step) * self.batch_size + self.process_index * self.share + place
        if self.source.info.endless:
            return number
        epoch, rank = divmod(number, len(self.source))
        return int(permutation(self.seed, "epoch order", epoch, len(self.source))[rank])


@dataclass(frozen=True)
class Taken:
    """The batches of an order, a step each, taken whole from a source that lies in memory."""

    order: TrainOrder
    source: InMemory
    shape: Shape
    max_objects: int

    def __len__(self) -> int:
        return self.order.stop_step - self.order.start_step

    def __getitem__(self, step: int) -> Batch:
        indices = [self.order.index(step, place) for place in range(self.order.share)]
        return fitted(self.source.take(np.array(indices, np.int64)), self.shape, self.max_objects)


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
        batch.images_bxhxwxc[i] = _to_shape(example.image_hxwxc, shape)
        largest = np.argsort(-area(example.boxes_nx4), kind="stable")[:max_objects]
        batch.boxes_bxnx4[i, : len(largest)] = example.boxes_nx4[largest]
        batch.labels_bxn[i, : len(largest)] = example.labels_n[largest]
        batch.object_mask_bxn[i, : len(largest)] = True
        batch.label_b[i] = example.label
    return batch


def fitted(batch: Batch, shape: Shape, max_objects: int) -> Batch:
    """A batch with images of `shape` and room for `max_objects` boxes; as `stack` makes it of the same examples."""
    size, count = batch.object_mask_bxn.shape

    def with_room(array: Any) -> Any:
        room = np.zeros((size, max_objects, *array.shape[2:]), array.dtype)
        room[:, : min(count, max_objects)] = array[:, :max_objects]
        return room

    images = batch.images_bxhxwxc
    if images.shape[1:] != shape:
        images = np.stack([_to_shape(image, shape) for image in images])
    boxes, labels, mask = (with_room(array) for array in (batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn))
    return batch._replace(images_bxhxwxc=images, boxes_bxnx4=boxes, labels_bxn=labels, object_mask_bxn=mask)


def _to_shape(image_hxwxc: Uint8Array, shape: Shape) -> Uint8Array:
    return decode.resize(decode.with_channels(image_hxwxc, shape[2]), shape[0], shape[1])


def train_batches(order: TrainOrder, shape: Shape, *, max_objects: int, threads: int, workers: int) -> Generator[Batch, None, None]:
    """This process's share of each step's batch, made ahead by threads, or by worker processes where `workers` > 0.

    A source that lies in memory gives whole batches, with the same bits. Closing it ends threads and workers and gives their
    shared memory back.
    """
    count = order.stop_step - order.start_step
    if workers > 0:  # that come to their end leave shared memory behind (Grain 0.2.18); closed before it they do not
        order = dataclasses.replace(order, stop_step=order.stop_step + 1000 * workers)
    if isinstance(order.source, InMemory):
        dataset = grain.MapDataset.source(Taken(order, order.source, shape, max_objects))
    else:
        dataset = grain.MapDataset.source(order).batch(order.share, batch_fn=Stack(shape, max_objects))
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


def sample(source: Source) -> range:
    """Indices of examples that stand for all where a split is only summed up: `finite_size`, of very many each n-th, about SAMPLE."""
    size = finite_size(source)
    return range(0, size, 1 if size <= VERY_LONG else size // SAMPLE)


def eval_batches(
    source: Source, size: int, shape: Shape, *, max_objects: int, place: int = 0, count: int = 1
) -> Iterator[tuple[list[Example], Batch]]:
    """`finite_size` examples in order, each once, with the batch they are stacked in; the last batch is padded.

    Of `count` processes the one at `place` gets its share of every batch, padding alone where the examples have run out.
    """
    total, share = finite_size(source), size // count
    for start in range(0, total, size):
        first = start + place * share
        examples = [source[i] for i in range(first, min(first + share, total))]
        yield examples, stack(examples, share, shape, max_objects)


def ahead(items: Iterator[T], put: Callable[[T], T], depth: int) -> Generator[T, None, None]:
    """Items after `put` (onto the devices), with up to `depth` of them put before they are asked for."""
    waiting: collections.deque[T] = collections.deque()
    for item in items:
        waiting.append(put(item))
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from itertools.chain(waiting)
