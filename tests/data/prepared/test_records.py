"""Writing records shard by shard: the same bytes after interruptions, bounded memory, and checksums."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgloc import files
from imgloc.data.prepared import records
from imgloc.data.prepared.members import open_members
from imgloc.data.prepared.writer import prepare
from imgloc.data.sources import tfds
from tests import processes
from tests import tiny_imagenet_shaped as shaped
from tests.refusals import assert_refused

SHARD = 8_000  # bytes: six files of train


class Stopped(BaseException):
    """Simulates a kill."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shaped.write_zip(tmp_path_factory.mktemp("archive") / "tiny.zip", shaped.entries())


@pytest.fixture(scope="module")
def whole(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All files of an uninterrupted preparation."""
    done = prepare("tiny_imagenet", origin=str(archive), folder=str(tmp_path_factory.mktemp("whole")), shard_bytes=SHARD)
    return contents(done.folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def opened(archive: Path, folder: Path) -> tuple[Any, records.Plan]:
    from imgloc.data.builders import tiny_imagenet

    plan = tiny_imagenet.plan(open_members(archive))
    builder = tiny_imagenet.BUILDER(data_dir=str(folder), file_format="array_record")
    tiny_imagenet.describe(builder.info, plan)
    return builder, plan


def stopping(plan: records.Plan, after: int) -> records.Plan:
    """The same plan, which stops after a number of examples."""
    remaining: Iterator[int] = iter(range(after))

    def example(split: str, name: str) -> dict[str, object]:
        if next(remaining, None) is None:
            raise Stopped
        return plan.example(split, name)

    return dataclasses.replace(plan, example=example)


def test_interrupted_anywhere_it_resumes_and_ends_with_the_same_bytes(archive: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    builder, plan = opened(archive, tmp_path)
    for after in (0, 3, 5, 9, 1, 6):  # in a file, at its end, before any
        with pytest.raises(Stopped):
            records.write(builder, stopping(plan, after), shard_bytes=SHARD)
        assert not Path(builder.data_dir).exists(), "TFDS never sees an incomplete data set"
        assert_refused(lambda: tfds.source("train", seed=0, name="tiny_imagenet", folder=str(tmp_path)), "no prepared tiny_imagenet")
    written: list[int] = []
    folder, reused = records.write(builder, plan, shard_bytes=SHARD, on_progress=written.append)
    assert reused >= 2
    assert sum(written) == 29
    assert contents(folder) == whole
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]


def test_another_process_writes_the_same_bytes(archive: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    call = f"prepare('tiny_imagenet', origin={str(archive)!r}, folder='.', shard_bytes={SHARD})"
    code = f"from imgloc.data.prepared.writer import prepare; {call}"
    environment = {**os.environ, "PYTHONPATH": str(processes.ROOT), "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    assert contents(tmp_path / "tiny_imagenet" / "1.0.0") == whole


def test_damaged_and_missing_shards_are_written_again(archive: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    builder, plan = opened(archive, tmp_path)
    with pytest.raises(Stopped):
        records.write(builder, stopping(plan, 20), shard_bytes=SHARD)
    working = Path(builder.data_dir).with_name(".1.0.0.unfinished")
    first, second = sorted(working.glob("*-of-*"))[:2]
    content = bytearray(first.read_bytes())
    content[100] ^= 1
    first.write_bytes(content)
    second.unlink()
    folder, reused = records.write(builder, plan, shard_bytes=SHARD)
    assert reused == 1
    assert contents(folder) == whole


def test_a_preparation_from_other_files_is_not_resumed(archive: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    other = shaped.write_zip(tmp_path / "other.zip", {**shaped.entries(), "readme": b"the same but for this"})
    builder, plan = opened(other, tmp_path / "out")
    with pytest.raises(Stopped):
        records.write(builder, stopping(plan, 20), shard_bytes=SHARD)
    (Path(builder.data_dir).with_name(".1.0.0.unfinished") / "stray").touch()
    builder, plan = opened(archive, tmp_path / "out")
    folder, reused = records.write(builder, plan, shard_bytes=SHARD)
    assert reused == 0
    assert contents(folder) == whole


def test_shards_have_about_the_requested_size_and_each_example_once(archive: Path, tmp_path: Path) -> None:
    _, plan = opened(archive, tmp_path)
    for size, least in ((10**9, 2), (SHARD, 5), (1, 29)):
        shards = records.plan_shards("tiny_imagenet", plan, size)
        assert len(shards) >= least
        assert size > 1 or len(shards) == 29
        assert sorted((shard.split, name) for shard in shards for name in shard.names) == sorted(
            (split, name) for split, names in plan.sizes.items() for name in names
        )
        for split in plan.sizes:
            lengths = [len(shard.names) for shard in shards if shard.split == split]
            assert max(lengths) - min(lengths) <= 1
    many = dataclasses.replace(plan, sizes={"train": dict.fromkeys(map(str, range(5_000)), 1), "val": {"0": 0}})
    lengths = [len(shard.names) for shard in records.plan_shards("tiny_imagenet", many, 10**9)]
    assert lengths == [1666, 1667, 1667, 1], "shards of few records are read faster"
    order = [name for shard in records.plan_shards("tiny_imagenet", plan, SHARD) for name in shard.names]
    assert order == [name for shard in records.plan_shards("tiny_imagenet", plan, 10**9) for name in shard.names]
    assert order[:24] != sorted(order[:24]), "shuffled"
    backwards = dataclasses.replace(plan, sizes={split: dict(reversed(sizes.items())) for split, sizes in plan.sizes.items()})
    assert records.plan_shards("tiny_imagenet", backwards, SHARD) == records.plan_shards("tiny_imagenet", plan, SHARD)


def test_checksums_detect_changes(archive: Path, tmp_path: Path) -> None:
    done = prepare("tiny_imagenet", origin=str(archive), folder=str(tmp_path), shard_bytes=SHARD)
    assert (done.status, done.checked, done.files) == ("prepared", True, len(list(done.folder.glob("*.array_record-*"))))
    recorded = files.read_json(done.folder / records.CHECKSUMS)
    assert sum(shard["examples"] for shard in recorded["shards"].values()) == 29
    assert prepare("tiny_imagenet", folder=str(tmp_path)).status == "already prepared"
    assert prepare("tiny_imagenet", origin=str(archive), folder=str(tmp_path)).status == "already prepared"
    other = shaped.write_zip(tmp_path / "other.zip", {**shaped.entries(), "readme": b""})
    assert_refused(lambda: prepare("tiny_imagenet", origin=str(other), folder=str(tmp_path)), "from other files")
    shard = next(done.folder.glob("*-00001-of-*"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert_refused(lambda: prepare("tiny_imagenet", folder=str(tmp_path)), "1 of ", "differ from their checksums", shard.name)
    outside = tmp_path / "outside"
    outside.write_text("secret")
    elsewhere = {"../../outside": {"bytes": 6, "sha256": records.file_sha256(outside)}}
    for bad in ("{", "[]", "[" * 100_000, '{"shards": {"a": null}, "source_sha256": ""}', '{"shards": 3, "source_sha256": ""}'):
        (done.folder / records.CHECKSUMS).write_text(bad)
        assert_refused(lambda: prepare("tiny_imagenet", folder=str(tmp_path)), "no readable checksums.json")
    files.write_json(done.folder / records.CHECKSUMS, {**recorded, "shards": elsewhere})
    assert_refused(lambda: prepare("tiny_imagenet", folder=str(tmp_path)), "no readable checksums.json")
    for bad in ("{}", "[", "\xff"):
        (done.folder / "dataset_info.json").write_text(bad, "latin-1")
        assert_refused(lambda: prepare("tiny_imagenet", folder=str(tmp_path)), "cannot be read", "delete it to prepare it again")


def test_with_damaged_checksums_a_preparation_starts_again(archive: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    final = tmp_path / "tiny_imagenet" / "1.0.0"
    working = final.with_name(".1.0.0.unfinished")
    for shard in ({}, None, {"bytes": 3}):
        done = prepare("tiny_imagenet", origin=str(archive), folder=str(tmp_path), shard_bytes=SHARD)
        recorded = files.read_json(done.folder / records.CHECKSUMS)
        done.folder.rename(working)
        files.write_json(working / records.CHECKSUMS, {**recorded, "shards": dict.fromkeys(recorded["shards"], shard)})
        again = prepare("tiny_imagenet", origin=str(archive), folder=str(tmp_path), shard_bytes=SHARD)
        assert again.status == "prepared"
        assert contents(again.folder) == whole
        shutil.rmtree(final)


def test_two_processes_do_not_write_one_data_set(archive: Path, tmp_path: Path) -> None:
    builder, plan = opened(archive, tmp_path)
    parent = Path(builder.data_dir).parent
    parent.mkdir(parents=True)
    handle = os.open(parent, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert_refused(lambda: records.write(builder, plan), "another process is preparing")
    os.close(handle)
    assert records.write(builder, plan)[1] == 0


@pytest.mark.slow
def test_a_split_of_more_than_a_gigabyte_takes_no_more_memory(archive: Path, tmp_path: Path) -> None:
    count, size = 1_200, 2**20  # TFDS's own writer requires TensorFlow from 1,000 MiB on
    rng = np.random.default_rng(0)
    builder, plan = opened(archive, tmp_path)
    fields = plan.example("val", "val_0.JPEG")
    blocks = [rng.bytes(size) for _ in range(4)]
    sizes = {split: {f"{i}": size for i in range(count if split == "train" else 2)} for split in ("train", "val")}

    def example(split: str, name: str) -> dict[str, object]:
        return {**fields, "image": blocks[int(name) % 4][int(name) :] + blocks[0][: int(name)], "file_name": name}

    large = dataclasses.replace(plan, sizes=sizes, example=example)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    folder, _ = records.write(builder, large, shard_bytes=2**28)
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert growth < 200 * 1024, f"{growth} KiB"
    assert sum(path.stat().st_size for path in folder.iterdir()) > count * size
    assert records.verify(folder) == 6
    source = tfds.source("train", seed=0, name="tiny_imagenet", folder=str(tmp_path), train="train")
    assert len(source) == count
    assert sorted(int(source.record(i).id) for i in range(count)) == list(range(count))
    shutil.rmtree(folder)


@pytest.mark.slow
def test_reading_an_epoch_keeps_memory_flat(data_folder: Path, tmp_path: Path) -> None:
    origin = data_folder / "tiny-imagenet/tiny-imagenet-200-sub100.zip"
    prepare("tiny_imagenet", origin=str(origin), folder=str(tmp_path))
    source = tfds.source("train", seed=0, name="tiny_imagenet", folder=str(tmp_path))
    order = np.random.default_rng(0).permutation(len(source))
    resident = []
    for number, index in enumerate(order):
        assert source[int(index)].image_hxwxc.shape == (64, 64, 3)
        if number % 3_000 == 2_999:
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20)
    print("MiB resident:", [round(size, 1) for size in resident])
    assert resident[-1] - resident[0] < 10, resident
