"""From a source to batches, made ahead by threads or processes: augmented for training, in order and padded for evaluation.

Where training stands in the data is a function of the step, so nothing but the step is saved.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import grain
import jax
import numpy as np
from absl import flags

from imgloc.data.batches.collate import collate, fit_batch
from imgloc.data.batches.sampler import MOST_UNREADABLE, IndexSampler, read_or_report
from imgloc.errors import UserError
from imgloc.randomness import generator
from imgloc.types import Augmentation, Batch, Example, InMemory, InputSpec, Source

T = TypeVar("T")
SAMPLE = 10_000  # examples that stand for an endless or a very long source where each is looked at once
VERY_LONG = 100_000  # examples, more than which are not all looked at before a run is scored


@dataclass(frozen=True)
class BatchDataset:
    """The batches of an order, a step each."""

    order: IndexSampler
    view: InputSpec
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return self.order.stop_step - self.order.start_step

    def __getitem__(self, step: int) -> Batch:
        numbers = [self.order.number(step * self.order.share + place) for place in range(self.order.share)]
        if self.augmentation is None and self.view.resize == "stretch" and isinstance(self.order.source, InMemory):
            indices = [self.order.index(number) for number in numbers]
            return fit_batch(self.order.source.take(np.array(indices, np.int64)), self.view)
        return collate([self.example(number) for number in numbers], len(numbers), self.view)

    def example(self, number: int) -> Example:
        """The example of a number as it is augmented, by a key of its own, and before it is fitted to the view."""
        if self.augmentation is None:
            return self.order.example(number, self.view.size)
        height, width = (math.ceil(side * self.augmentation.enlarges) for side in self.view.size)
        example = self.order.example(number, (height, width))
        return self.augmentation.augment(example, generator(self.order.seed, "augmentation", number))


def train_batches(made: BatchDataset, *, threads: int, workers: int) -> Generator[Batch, None, None]:
    """This process's share of each step's batch, made ahead by threads, or by worker processes where `workers` > 0.

    Closing it ends threads and workers and gives their shared memory back.
    """
    count = len(made)
    if workers > 0:  # that come to their end leave shared memory behind (Grain 0.2.18); closed before it they do not
        made = dataclasses.replace(made, order=dataclasses.replace(made.order, stop_step=made.order.stop_step + 1000 * workers))
    dataset = grain.MapDataset.source(made)
    stream = dataset.to_iter_dataset(grain.ReadOptions(num_threads=max(1, threads), prefetch_buffer_size=max(2, 2 * threads)))
    if workers > 0:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain reads absl flags of its own; outside absl's app nobody has parsed them
        options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
        stream = stream.mp_prefetch(options, worker_init_fn=functools.partial(_begin_worker, os.getpid()))
    batches = iter(stream)
    try:
        for batch in itertools.islice(batches, count):
            # A copy: what JAX still holds at the end would be left behind in shared memory, and each array takes a file handle.
            yield jax.tree.map(np.array, batch) if workers > 0 else batch
    finally:
        if hasattr(batches, "close"):  # Grain's iterators of lately
            batches.close()


def in_calls(batches: Iterator[Batch], counts: Iterable[int], size: int) -> Iterator[tuple[Batch, np.int32]]:
    """Batches for calls of several steps: `size` of them on a new leading axis, and how many of those are meant.

    A call of fewer repeats its last batch in the places that are left.
    """
    for count in counts:
        found = list(itertools.islice(batches, count))
        stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *found, *[found[-1]] * (size - count))
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


def readable(source: Source, indices: Iterable[int], at_least: tuple[int, int] | None = None) -> Iterator[Example]:
    """The examples of these indices, but those whose images cannot be decoded, which are told; see `order.read`."""
    found = (read_or_report(source, index, at_least) for index in indices)
    return (example for example in found if example is not None)


def first_readable(source: Source) -> Example:
    """The first example whose image can be decoded. Raises UserError where there is none among the first ones."""
    for example in readable(source, range(min(len(source), MOST_UNREADABLE))):
        return example
    raise UserError(f"none of the first {MOST_UNREADABLE} images can be decoded; see imgloc data check")


def sample(source: Source) -> range:
    """Indices of examples that stand for all where a split is only summed up: `finite_size`, of very many each n-th, about SAMPLE."""
    size = finite_size(source)
    return range(0, size, 1 if size <= VERY_LONG else size // SAMPLE)


def eval_batches(
    source: Source, size: int, view: InputSpec, *, threads: int = 1, place: int = 0, count: int = 1
) -> Iterator[tuple[list[Example], Batch]]:
    """`finite_size` examples in order, each once, with the batch they are stacked in; the last batch is padded.

    Those that cannot be decoded are left out, and told. Boxes are those of the examples themselves, not of the view.
    Of `count` processes the one at `place` gets its share of every batch, padding alone where the examples have run out.
    Threads decode while the batch before is in use.
    """
    total, share = finite_size(source), size // count
    waiting: collections.deque[list[Future[Example | None]]] = collections.deque()

    def next_batch() -> tuple[list[Example], Batch]:
        examples = [example for future in waiting.popleft() if (example := future.result()) is not None]
        return examples, collate(examples, share, view, truth_in_view=False)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        for start in range(0, total, size):
            first = start + place * share
            waiting.append([pool.submit(read_or_report, source, i, view.size) for i in range(first, min(first + share, total))])
            if len(waiting) > 1:
                yield next_batch()
        while waiting:
            yield next_batch()


def ahead(items: Iterator[T], put: Callable[[T], T], depth: int) -> Generator[T, None, None]:
    """Items after `put` (onto the devices), with up to `depth` of them put before they are asked for."""
    waiting: collections.deque[T] = collections.deque()
    for item in items:
        waiting.append(put(item))
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from itertools.chain(waiting)
