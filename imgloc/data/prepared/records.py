"""Writes a data set in TFDS's array_record layout, one shard after the other, with checksums; an interrupted run can be resumed.

TFDS's own writer needs TensorFlow above 1 GB and cannot be resumed. Here examples are sorted by a hash of their names, which is known
before any image is read, so only one image is in memory. Shards are written under temporary names in a temporary folder, and
renamed when they are complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from imgloc import files
from imgloc.data.prepared.members import file_sha256
from imgloc.errors import UserError, storage_error

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

CHECKSUMS = "checksums.json"
SHARD_BYTES = 2**26  # bytes of images: the work that is lost when a run is interrupted
SHARD_EXAMPLES = 2048  # array_record (0.8.6) reads a record in 6 microseconds, and 2 more for each 1,000 records of its file
MAX_SHARDS = 1024
WRITER_OPTIONS = "group_size:1"  # for random access to single records


@dataclass(frozen=True)
class Plan:
    """The examples of a data set, planned without reading images."""

    sizes: Mapping[str, Mapping[str, int]]  # split -> name -> bytes of its image
    example: Callable[[str, str], dict[str, object]]  # (split, name) -> values of TFDS's features
    sha256: Callable[[], str]  # of the files that they are read from
    classes: tuple[str, ...]
    class_names: tuple[str, ...]  # in plain words


@dataclass(frozen=True)
class Shard:
    """A file and its examples, in order."""

    split: str
    file: str
    names: tuple[str, ...]


class ShardEntry(NamedTuple):
    """A shard in CHECKSUMS."""

    examples: int
    bytes: int
    record_bytes: int
    sha256: str


def plan_shards(name: str, plan: Plan, shard_bytes: int) -> list[Shard]:
    """The shards of all splits: each of about `shard_bytes` of images and SHARD_EXAMPLES at most, and up to MAX_SHARDS for each split."""
    shards = []
    for split, sizes in plan.sizes.items():
        names = sorted(sizes, key=lambda key, split=split: (hashlib.sha256(f"{split}/{key}".encode()).digest(), key))  # type: ignore[misc]
        count = max(-(-sum(sizes.values()) // shard_bytes), -(-len(names) // SHARD_EXAMPLES))
        count = min(count, len(names), MAX_SHARDS)
        for i in range(count):
            start, stop = len(names) * i // count, len(names) * (i + 1) // count
            shards.append(Shard(split, f"{name}-{split}.array_record-{i:05d}-of-{count:05d}", tuple(names[start:stop])))
    return shards


def write(
    builder: tfds.core.DatasetBuilder, plan: Plan, *, shard_bytes: int = SHARD_BYTES, on_progress: Callable[[int], None] = lambda _: None
) -> tuple[Path, int]:
    """Writes the missing shards and TFDS's metadata; returns the folder and the number of shards that existed before.

    `builder` is a TFDS builder whose features are complete; it determines the folder. `on_progress` is called with the number of
    examples that were written since the last call. Raises UserError if an image cannot be read, OSError if a shard cannot be written.
    """
    final = Path(builder.data_dir)
    working = final.with_name(f".{final.name}.unfinished")
    with _exclusive(final.parent):
        shards = plan_shards(builder.name, plan, shard_bytes)
        content: dict[str, object] = {
            "data_set": builder.info.full_name,
            "source_sha256": plan.sha256(),
            "order": files.fingerprint([[shard.file, *shard.names] for shard in shards]),
            "features": files.fingerprint([repr(builder.info.features), list(plan.classes)]),
        }
        done = _finished_shards(working, content)
        reused = 0
        for shard in shards:
            if shard.file in done and _is_intact(working / shard.file, done[shard.file]):
                reused += 1
                on_progress(len(shard.names))
                continue
            done[shard.file] = _write_shard(builder.info.features, plan, shard, working / shard.file, on_progress)
            _write_checksums(working, content, done)
        done = {shard.file: done[shard.file] for shard in shards}
        _write_checksums(working, content, done)
        _write_metadata(builder, shards, done, working)
        with files.errors_naming(final):
            os.replace(working, final)
    return final, reused


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Locks a folder; raises UserError if another process holds the lock, which ends with that process."""
    with files.errors_naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"another process is preparing {folder}; wait for it or stop it") from None
        yield
    finally:
        os.close(handle)


def _write_checksums(working: Path, content: Mapping[str, object], shards: Mapping[str, ShardEntry]) -> None:
    entries = {name: entry._asdict() for name, entry in shards.items()}
    files.write_json(working / CHECKSUMS, {**content, "shards": entries})


def _finished_shards(working: Path, content: Mapping[str, object]) -> dict[str, ShardEntry]:
    """The shards that an interrupted call wrote from the same content; otherwise none, after emptying the folder."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        recorded = files.read_json(working / CHECKSUMS)
        shards = recorded.pop("shards")
        if recorded == content:
            return {name: ShardEntry(*(shard[key] for key in ShardEntry._fields)) for name, shard in shards.items()}
    if working.exists():
        shutil.rmtree(working)
    with files.errors_naming(working):
        working.mkdir(parents=True)
    return {}


def _is_intact(path: Path, entry: ShardEntry) -> bool:
    return path.is_file() and path.stat().st_size == entry.bytes and file_sha256(path) == entry.sha256


def _write_shard(
    features: tfds.features.FeaturesDict, plan: Plan, shard: Shard, path: Path, on_progress: Callable[[int], None]
) -> ShardEntry:
    """Writes one file under a temporary name, then renames it; returns its entry in CHECKSUMS."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter

    serializer = tfds.core.ExampleSerializer(features.get_serialized_info())
    temporary = path.with_name(f"{path.name}.tmp")
    size = 0
    with files.errors_naming(path):
        try:
            writer = ArrayRecordWriter(str(temporary), WRITER_OPTIONS)
            try:
                for name in shard.names:
                    message = serializer.get_tf_example(features.encode_example(plan.example(shard.split, name)))
                    record = message.SerializeToString(deterministic=True)  # otherwise the order of fields varies between processes
                    writer.write(record)
                    size += len(record)
                    on_progress(1)
            finally:
                writer.close()
        except RuntimeError as error:  # array_record raises it for every error of the file system
            raise storage_error(error, str(path)) from error
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    return ShardEntry(len(shard.names), path.stat().st_size, size, file_sha256(path))


def _write_metadata(builder: tfds.core.DatasetBuilder, shards: list[Shard], done: Mapping[str, ShardEntry], folder: Path) -> None:
    """Writes dataset_info.json, features.json and the other files that TFDS reads."""
    import tensorflow_datasets as tfds

    template = tfds.core.ShardedFileTemplate(data_dir=folder, dataset_name=builder.name, filetype_suffix="array_record")
    splits = []
    for split in dict.fromkeys(shard.split for shard in shards):
        entries = [done[shard.file] for shard in shards if shard.split == split]
        size, lengths = sum(entry.record_bytes for entry in entries), [entry.examples for entry in entries]
        info = tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=size, filename_template=template.replace(split=split))
        splits.append(info)
    builder.info.set_file_format("array_record")
    builder.info.set_splits(tfds.core.splits.SplitDict(splits))
    builder.info.write_to_directory(folder)


def verify(folder: Path, source_sha256: str | None = None) -> int:
    """Checks all files of a prepared data set against their checksums and returns their number. Raises UserError if one differs."""
    try:
        recorded = files.read_json(folder / CHECKSUMS)
        shards = {name: ShardEntry(0, int(shard["bytes"]), 0, str(shard["sha256"])) for name, shard in recorded["shards"].items()}
        recorded_sha256 = str(recorded["source_sha256"])
        if any("/" in name for name in shards):
            raise ValueError("a file is outside the folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{folder} has no readable {CHECKSUMS}, so it was not prepared by imgloc; delete it to prepare it again") from error
    changed = [name for name, shard in shards.items() if not _is_intact(folder / name, shard)]
    if changed:
        raise UserError(
            f"{folder}: {len(changed)} of {len(shards)} files differ from their checksums: {changed[0]}; delete it to prepare it again"
        )
    if source_sha256 is not None and source_sha256 != recorded_sha256:
        hashes = f"SHA-256 {recorded_sha256[:12]}..., not {source_sha256[:12]}..."
        raise UserError(f"{folder} was prepared from other files ({hashes}); delete it to prepare it again")
    return len(shards)
