"""Order, shares of processes, resuming, stacking and padding; threads and worker processes return the same batches."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from absl import flags

from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import collate
from imgloc.data.batches.pipeline import SAMPLE, BatchDataset, eval_batches, finite_size, group_calls, prefetch, train_batches
from imgloc.data.batches.sampler import IndexSampler
from imgloc.data.sources.mnist import source as mnist
from imgloc.data.sources.scattered_digits import source as scattered_digits
from imgloc.data.transforms.geometry import random_horizontal_flip
from imgloc.errors import WorkerError
from imgloc.types import Augmentation, Batch, Example, Info, InMemory, InputSpec, IntArray

SHAPE = (16, 16, 1)


@dataclass(frozen=True)
class Numbered:
    """Example i is a gray image of level i with i % 4 boxes."""

    size: int
    endless: bool = False
    fingerprint: str = "numbered"

    @property
    def info(self) -> Info:
        return Info(("a", "b"), 1, self.endless)

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(str(i) for i in range(self.size))

    def __len__(self) -> int:
        return 2**40 if self.endless else self.size

    def __getitem__(self, index: int) -> Example:
        count = index % 4
        sides = np.linspace(0.1, 0.8, count) if count else np.zeros(0)
        boxes = np.stack([sides * 0, sides * 0, sides, sides], axis=-1).astype(np.float32)
        image = np.full((8, 12, 1), index % 256, np.uint8)
        return Example(image, boxes, 10 + np.arange(count, dtype=np.int32), index % 2, str(index), str(index))


def indices(sampler: IndexSampler) -> list[int]:
    return [int(sampler.example(sampler.number(i)).id) for i in range(len(sampler))]


def make_sampler(source: Any, **changes: Any) -> IndexSampler:
    return IndexSampler(**{"source": source, "seed": 0, "batch_size": 6, "start_step": 0, "stop_step": 10, **changes})


def assert_same_batches(a: Any, b: Any) -> None:
    for one, other in itertools.zip_longest(a, b):
        for x, y in zip(one, other, strict=True):
            assert (x is None) == (y is None)
            if x is not None:
                assert x.dtype == y.dtype
                np.testing.assert_array_equal(x, y)


def test_each_epoch_reads_each_example_once_in_a_new_order() -> None:
    order = indices(make_sampler(Numbered(10), stop_step=5))  # 30 examples: batches run across three epochs
    epochs = [order[:10], order[10:20], order[20:]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert list(range(10)) not in epochs
    assert indices(make_sampler(Numbered(10), stop_step=5)) == order
    assert indices(make_sampler(Numbered(10), stop_step=5, seed=1)) != order


def test_an_endless_source_is_read_by_index() -> None:
    assert indices(make_sampler(Numbered(10, endless=True), start_step=3, stop_step=5)) == list(range(18, 30))


@pytest.mark.parametrize("endless", [False, True])
def test_a_resumed_order_continues_the_whole_one(endless: bool) -> None:
    source = Numbered(10, endless)
    whole = indices(make_sampler(source))
    for start in (0, 1, 4, 9):
        assert indices(make_sampler(source, start_step=start)) == whole[6 * start :]
    assert len(make_sampler(source, start_step=10)) == 0


@pytest.mark.parametrize("endless", [False, True])
@pytest.mark.parametrize("count", [2, 3])
def test_shares_of_processes_make_up_the_batch(endless: bool, count: int) -> None:
    whole = np.array(indices(make_sampler(Numbered(10, endless)))).reshape(10, 6)
    shares = [indices(make_sampler(Numbered(10, endless), process_index=i, process_count=count)) for i in range(count)]
    joined = np.concatenate([np.array(share).reshape(10, 6 // count) for share in shares], axis=1)
    np.testing.assert_array_equal(joined, whole)


def test_batches_are_the_examples_of_the_sampler() -> None:
    sampler = make_sampler(Numbered(10), stop_step=4)
    batches = list(train_batches(BatchDataset(sampler, InputSpec(SHAPE, 2)), threads=2, workers=0))
    assert len(batches) == 4
    examples = [sampler.example(sampler.number(i)) for i in range(24)]
    assert_same_batches(batches, [collate(examples[i : i + 6], 6, InputSpec(SHAPE, 2)) for i in range(0, 24, 6)])


def test_batches_do_not_depend_on_resuming_and_threads() -> None:
    source = scattered_digits("train", seed=0)

    def batches(start: int, threads: int) -> list[Batch]:
        return list(
            train_batches(BatchDataset(make_sampler(source, start_step=start, stop_step=5), InputSpec(SHAPE)), threads=threads, workers=0)
        )

    whole = batches(0, 1)
    assert_same_batches(whole, batches(0, 4))
    assert_same_batches(whole[3:], batches(3, 2))
    assert not np.array_equal(whole[0].images_bxhxwxc, whole[1].images_bxhxwxc)


@dataclass(frozen=True)
class NumberedInMemory(Numbered):
    """The same examples as an `InMemory` source, implemented independently of `collate`."""

    def take(self, indices_b: IntArray) -> Batch:
        count_b = indices_b % 4
        sides_bxn = np.array([np.pad(np.linspace(0.1, 0.8, count)[::-1] if count else [], (0, 3 - count)) for count in count_b])
        labels_bxn = np.array([np.pad(10 + np.arange(count)[::-1], (0, 3 - count)) for count in count_b])
        return Batch(
            np.broadcast_to((indices_b % 256).astype(np.uint8)[:, None, None, None], (len(indices_b), 8, 12, 1)).copy(),
            np.stack([0 * sides_bxn, 0 * sides_bxn, sides_bxn, sides_bxn], axis=-1).astype(np.float32), labels_bxn.astype(np.int32),
            np.arange(3) < count_b[:, None], (indices_b % 2).astype(np.int32), np.ones(len(indices_b), bool),
            np.tile(np.array([0, 0, 1, 1], np.float32), (len(indices_b), 1)),
        )  # fmt: skip


def batches_by_example(monkeypatch: pytest.MonkeyPatch, sampler: IndexSampler, shape: Any, max_objects: int) -> list[Batch]:
    """The batches of a sampler, read example by example."""
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "fit_batch", None)  # fails if it is called
        patched.setattr(pipeline, "InMemory", type(None))
        return list(train_batches(BatchDataset(sampler, InputSpec(shape, max_objects)), threads=1, workers=0))


@pytest.mark.parametrize("shape", [(8, 12, 1), (6, 7, 3)])
@pytest.mark.parametrize("max_objects", [1, 2, 5])
@pytest.mark.parametrize("endless", [False, True])
def test_batches_from_memory_equal_those_of_single_examples(
    endless: bool, max_objects: int, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = NumberedInMemory(10, endless)
    assert isinstance(source, InMemory)
    assert not isinstance(Numbered(10), InMemory)
    for options in ({}, {"process_index": 0, "process_count": 3}, {"process_index": 2, "process_count": 3}, {"start_step": 3}):
        sampler = make_sampler(source, **options)
        taken = list(train_batches(BatchDataset(sampler, InputSpec(shape, max_objects)), threads=2, workers=0))
        assert len(taken) == 10 - sampler.start_step
        assert_same_batches(taken, batches_by_example(monkeypatch, sampler, shape, max_objects))


def test_digits_from_memory_equal_those_of_single_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = mnist("validation", seed=0)  # 400 of them: steps 60 to 70 of 6 cross the end of the first epoch
    whole = list(train_batches(BatchDataset(make_sampler(digits, stop_step=70), InputSpec((28, 28, 1))), threads=1, workers=0))
    for index in range(2):
        sampler = make_sampler(digits, start_step=60, stop_step=70, process_index=index, process_count=2)
        batches = batches_by_example(monkeypatch, sampler, (28, 28, 1), 1)
        assert_same_batches(batches, train_batches(BatchDataset(sampler, InputSpec((28, 28, 1))), threads=2, workers=0))
        share = slice(3 * index, 3 * index + 3)
        assert_same_batches(batches, [jax.tree.map(lambda array, share=share: array[share], batch) for batch in whole[60:]])


def test_a_very_long_split_is_summarized_from_a_sample() -> None:
    assert pipeline.sample_indices(Numbered(10)) == range(10)
    assert pipeline.sample_indices(Numbered(100_000)) == range(100_000)
    assert pipeline.sample_indices(Numbered(10, endless=True)) == range(SAMPLE)
    many = pipeline.sample_indices(Numbered(1_268_355))
    assert SAMPLE <= len(many) < 1.1 * SAMPLE
    assert many[-1] > 1_268_000


@pytest.mark.parametrize("split", ["train", "validation"])
def test_worker_processes_return_the_batches_of_threads(split: str) -> None:
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain passes absl's flags to its processes
    source = mnist(split, seed=0) if split == "validation" else scattered_digits(split, seed=0)
    sampler = make_sampler(source, start_step=65, stop_step=68)  # across the end of an epoch of the 400 of validation
    threads = list(train_batches(BatchDataset(sampler, InputSpec(SHAPE)), threads=1, workers=0))
    workers = list(train_batches(BatchDataset(sampler, InputSpec(SHAPE)), threads=1, workers=1))
    assert len(workers) == 3
    assert_same_batches(threads, workers)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="child processes are listed in /proc")
def test_a_killed_worker_is_one_line() -> None:
    sampler = make_sampler(scattered_digits("train", seed=0, per_digit=2), stop_step=10_000)
    batches = train_batches(BatchDataset(sampler, InputSpec(SHAPE)), threads=1, workers=1)
    next(batches)
    children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
    (worker,) = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    os.kill(int(worker), signal.SIGKILL)
    with pytest.raises(WorkerError) as caught:
        for _ in batches:
            pass
    expected = "a worker process that prepares batches was ended (exit code -9); if memory is short, lower data.workers"
    assert str(caught.value) == f"{expected}; the same command resumes from the latest checkpoint"


def test_padding_is_zero_and_masked_out() -> None:
    source = Numbered(10)
    batch = collate([source[3], source[5]], 4, InputSpec((8, 12, 1), 2))
    assert batch.example_mask_b.tolist() == [True, True, False, False]
    assert batch.object_mask_bxn.tolist() == [[True, True], [True, False], [False, False], [False, False]]
    arrays = [array for array in batch if array is not None]
    for array in arrays:
        assert not array[2:].any()
    assert batch.images_bxhxwxc[0, 0, 0, 0] == 3
    assert batch.label_b.tolist() == [1, 1, 0, 0]
    expected = ("uint8", "float32", "int32", "bool", "int32", "bool", "float32")
    assert tuple(str(array.dtype) for array in arrays) == expected


def test_the_largest_objects_come_first_and_the_smallest_are_dropped() -> None:
    example = Numbered(10)[3]  # sides 0.1, 0.45, 0.8 with labels 10, 11, 12
    batch = collate([example], 1, InputSpec(SHAPE, 2))
    np.testing.assert_allclose(batch.boxes_bxnx4[0, :, 2], [0.8, 0.45])
    assert batch.labels_bxn[0].tolist() == [12, 11]
    room = collate([example], 1, InputSpec(SHAPE, 5))
    np.testing.assert_allclose(room.boxes_bxnx4[0, :, 2], [0.8, 0.45, 0.1, 0, 0], rtol=1e-6)
    assert room.object_mask_bxn[0].tolist() == [True, True, True, False, False]
    nothing = collate([Numbered(10)[4]], 1, InputSpec(SHAPE))
    assert not nothing.object_mask_bxn.any()
    assert not nothing.boxes_bxnx4.any()


@pytest.mark.parametrize(("channels_in", "shape"), [(1, (16, 20, 3)), (3, (16, 20, 1)), (3, (8, 12, 3))])
def test_images_are_converted_to_the_size_and_channels_of_the_input(channels_in: int, shape: tuple[int, int, int]) -> None:
    example = Numbered(10)[1]
    image = np.full((8, 12, channels_in), 90, np.uint8)
    batch = collate([Example(image, example.boxes_nx4, example.labels_n, 0, "x", "x")], 1, InputSpec(shape))
    np.testing.assert_array_equal(batch.images_bxhxwxc, np.full((1, *shape), 90, np.uint8))
    np.testing.assert_array_equal(batch.boxes_bxnx4[0], example.boxes_nx4)  # shares of the image do not change


@pytest.mark.parametrize("size", [1, 7, 10, 11])
def test_evaluation_reads_each_example_once_for_any_batch_size(size: int) -> None:
    ids, levels = [], []
    for examples, batch in eval_batches(Numbered(10), size, InputSpec(SHAPE, 2), threads=2):
        assert batch.images_bxhxwxc.shape == (size, *SHAPE)
        assert batch.example_mask_b.sum() == len(examples)
        ids += [int(example.id) for example in examples]
        levels += batch.images_bxhxwxc[batch.example_mask_b][:, 0, 0, 0].tolist()
    assert ids == levels == list(range(10))


@pytest.mark.parametrize("size", [2, 4, 6, 12])
def test_processes_share_each_batch_of_an_evaluation(size: int) -> None:
    shares = [list(eval_batches(Numbered(9), size, InputSpec(SHAPE, 2), process_index=index, process_count=2)) for index in (0, 1)]
    assert len(shares[0]) == len(shares[1])  # all processes take part in each collective operation
    assert {len(batch.example_mask_b) for share in shares for _, batch in share} == {size // 2}
    ids = [int(example.id) for batches in zip(*shares, strict=True) for examples, _ in batches for example in examples]
    assert ids == list(range(9))


def test_evaluation_of_an_endless_source_ends() -> None:
    assert finite_size(Numbered(10)) == 10
    assert finite_size(Numbered(2 * SAMPLE)) == 2 * SAMPLE
    assert finite_size(Numbered(10, endless=True)) == SAMPLE
    batches = eval_batches(Numbered(10, endless=True), SAMPLE - 1, InputSpec((1, 1, 1)))
    assert [batch.example_mask_b.sum() for _, batch in batches] == [SAMPLE - 1, 1]


@pytest.mark.parametrize("depth", [0, 1, 2, 20])
def test_prefetch_keeps_the_order_and_runs_depth_items_ahead(depth: int) -> None:
    put: list[int] = []

    def record(item: int) -> int:
        put.append(item)
        return 10 * item

    seen = []
    for item in prefetch(iter(range(6)), record, depth):
        assert len(put) == min(6, len(seen) + 1 + depth)
        seen.append(item)
    assert seen == [0, 10, 20, 30, 40, 50]
    assert put == list(range(6))
    assert list(prefetch(iter([]), record, depth)) == []


def test_grouped_calls_keep_the_order_and_are_padded_with_the_last_batch() -> None:
    batches = [collate([Numbered(9)[i]], 1, InputSpec(SHAPE, 2)) for i in range(5)]
    calls = list(group_calls(iter(batches), [2, 3], 3))
    assert [count for _, count in calls] == [2, 3]
    levels = [[int(image[0, 0, 0, 0]) for image in stacked.images_bxhxwxc] for stacked, _ in calls]
    assert levels == [[0, 1, 1], [2, 3, 4]]
    assert calls[0][0].boxes_bxnx4.shape == (3, 1, 2, 4)


@dataclass(frozen=True)
class Crowded(Numbered):
    """Examples of `Numbered` with a crowd and flags of difficult objects."""

    def __getitem__(self, index: int) -> Example:
        example = super().__getitem__(index)
        crowd = np.array([[0.2, 0.2, 0.9, 0.9]], np.float32)
        difficult = example.labels_n % 2 == 0
        return dataclasses.replace(example, difficult_n=difficult, crowd_boxes_mx4=crowd, crowd_labels_m=np.array([1], np.int32))


def test_crowds_change_no_batch_and_are_gone_before_an_example_is_augmented() -> None:
    seen: list[Example] = []

    def augment(example: Example, random: np.random.Generator) -> Example:
        seen.append(example)
        return random_horizontal_flip(example, random, probability=1.0)

    spec, augmentation = InputSpec(SHAPE, 3), Augmentation(augment)
    crowded, plain = (BatchDataset(make_sampler(source(24)), spec, augmentation) for source in (Crowded, Numbered))
    assert_same_batches([crowded[i] for i in range(3)], [plain[i] for i in range(3)])
    assert len(seen) == 36
    assert not any(len(example.crowd_labels_m) or len(example.crowd_boxes_mx4) for example in seen)
    assert all(len(Crowded(24)[i].crowd_labels_m) for i in range(24))
    assert not any(len(BatchDataset(make_sampler(Crowded(24)), spec).example(i).crowd_labels_m) for i in range(24))
