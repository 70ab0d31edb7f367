"""Batches from a source, prepared ahead by threads or processes: augmented for training, in order and padded for evaluation.

The training batches are a function of the step, so a checkpoint stores nothing but the step.
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
from imgloc.data.batches.sampler import MAX_UNREADABLE, IndexSampler, read_or_skip
from imgloc.errors import UserError, WorkerError, one_line
from imgloc.randomness import generator
from imgloc.types import NO_BOXES_0X4, NO_LABELS_0, Augmentation, Batch, Example, InMemory, InputSpec, Source

T = TypeVar("T")
SAMPLE = 10_000  # examples that represent an endless or very long source in a single pass
WORKER_ENDED = "Worker process was terminated unexpectedly with"  # the beginning of Grain's message
VERY_LONG = 100_000  # examples: a longer split is summarized from a sample


@dataclass(frozen=True)
class BatchDataset:
    """The training batches of a sampler: element i is the batch of step `sampler.start_step + i`."""

    sampler: IndexSampler
    spec: InputSpec
    augmentation: Augmentation | None = None

    def __len__(self) -> int:
        return self.sampler.stop_step - self.sampler.start_step

    def __getitem__(self, step: int) -> Batch:
        sampler, size = self.sampler, self.sampler.local_batch_size
        numbers = [sampler.number(step * size + place) for place in range(size)]
        if self.augmentation is None and self.spec.resize == "stretch" and isinstance(sampler.source, InMemory):
            indices = [sampler.index(number) for number in numbers]
            return fit_batch(sampler.source.take(np.array(indices, np.int64)), self.spec)
        return collate([self.example(number) for number in numbers], size, self.spec)

    def example(self, number: int) -> Example:
        """The example with this number, augmented with its own random generator, before it is resized to the input.

        It has no crowds, which transforms would not move.
        """
        enlarges = 1.0 if self.augmentation is None else self.augmentation.enlarges
        height, width = (math.ceil(side * enlarges) for side in self.spec.size)
        example = self.sampler.example(number, (height, width))
        if len(example.crowd_labels_m):
            example = dataclasses.replace(example, crowd_boxes_mx4=NO_BOXES_0X4, crowd_labels_m=NO_LABELS_0)
        if self.augmentation is None:
            return example
        return self.augmentation.augment(example, generator(self.sampler.seed, "augmentation", number))


def train_batches(dataset: BatchDataset, *, threads: int, workers: int) -> Generator[Batch, None, None]:
    """The batches of a dataset, read ahead by threads, or by worker processes if `workers` > 0.

    Closing the generator stops threads and workers and releases their shared memory.
    """
    count = len(dataset)
    if workers > 0:  # workers that reach the end leak shared memory (Grain 0.2.18), workers that are closed before it do not
        sampler = dataclasses.replace(dataset.sampler, stop_step=dataset.sampler.stop_step + 1000 * workers)
        dataset = dataclasses.replace(dataset, sampler=sampler)
    options = grain.ReadOptions(num_threads=max(1, threads), prefetch_buffer_size=max(2, 2 * threads))
    stream = grain.MapDataset.source(dataset).to_iter_dataset(options)
    if workers > 0:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain reads absl flags, which only absl's app parses
        processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
        stream = stream.mp_prefetch(processes, worker_init_fn=functools.partial(_begin_worker, os.getpid()))
    batches = iter(stream)
    try:
        for batch in itertools.islice(batches, count):
            # Copied: arrays that JAX still holds at the end would stay in shared memory, and each needs a file handle.
            yield jax.tree.map(np.array, batch) if workers > 0 else batch
    except RuntimeError as error:
        if not str(error).startswith(WORKER_ENDED):
            raise
        details = one_line(error).removeprefix(WORKER_ENDED).partition(".")[0].strip()
        message = f"a worker process that prepares batches was ended ({details}); if memory is short, lower data.workers"
        raise WorkerError(f"{message}; the same command resumes from the latest checkpoint") from error
    finally:
        if hasattr(batches, "close"):  # recent versions of Grain
            batches.close()


def group_calls(batches: Iterator[Batch], counts: Iterable[int], size: int) -> Iterator[tuple[Batch, np.int32]]:
    """Batches for compiled calls of several steps: `size` batches stacked on a new leading axis, and the number of valid ones.

    A call of fewer than `size` steps is padded with copies of its last batch.
    """
    for count in counts:
        group = list(itertools.islice(batches, count))
        stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *group, *[group[-1]] * (size - count))
        yield stacked, np.int32(count)


def _begin_worker(parent: int, index: int, count: int) -> None:
    """Bind a worker process to its parent: it ignores stop signals, and exits if the parent is killed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C, timeout and scancel send them to the whole process group
        signal.signal(number, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def finite_size(source: Source) -> int:
    """The number of examples in a single pass: all of them, or the first SAMPLE of an endless source."""
    return min(len(source), SAMPLE) if source.info.endless else len(source)


def readable_examples(source: Source, indices: Iterable[int], at_least: tuple[int, int] | None = None) -> Iterator[Example]:
    """The examples with these indices, without unreadable ones, which are reported; see `sampler.read_example` for `at_least`."""
    examples = (read_or_skip(source, index, at_least) for index in indices)
    return (example for example in examples if example is not None)


def first_readable_example(source: Source) -> Example:
    """The first example whose image can be decoded. Raises UserError if none of the first MAX_UNREADABLE can."""
    for example in readable_examples(source, range(min(len(source), MAX_UNREADABLE))):
        return example
    raise UserError(f"none of the first {MAX_UNREADABLE} images can be decoded; see imgloc data check")


def sample_indices(source: Source) -> range:
    """The indices from which a split is summarized: `finite_size`, or about SAMPLE evenly spaced ones of a very long split."""
    size = finite_size(source)
    return range(0, size, 1 if size <= VERY_LONG else size // SAMPLE)


def eval_batches(
    source: Source, size: int, spec: InputSpec, *, threads: int = 1, process_index: int = 0, process_count: int = 1
) -> Iterator[tuple[list[Example], Batch]]:
    """The first `finite_size` examples in order, in batches of `size`, each with its examples. The last batch is padded.

    Unreadable examples are left out and reported. Boxes are relative to the original images, not to the model input.
    Each process gets its share of every batch, which is padding alone once the examples have run out.
    Threads decode the next batch while the previous one is in use.
    """
    total, share = finite_size(source), size // process_count
    waiting: collections.deque[list[Future[Example | None]]] = collections.deque()

    def next_batch() -> tuple[list[Example], Batch]:
        examples = [example for future in waiting.popleft() if (example := future.result()) is not None]
        return examples, collate(examples, share, spec, truth_in_input=False)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        for start in range(0, total, size):
            first = start + process_index * share
            waiting.append([pool.submit(read_or_skip, source, i, spec.size) for i in range(first, min(first + share, total))])
            if len(waiting) > 1:
                yield next_batch()
        while waiting:
            yield next_batch()


def prefetch(items: Iterator[T], put: Callable[[T], T], depth: int) -> Generator[T, None, None]:
    """Items after `put` (the transfer to the devices), which runs up to `depth` items ahead."""
    waiting: collections.deque[T] = collections.deque()
    for item in items:
        waiting.append(put(item))
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting
