"""Writing a data set of ours as TFDS lays it out in array_record: shard by shard, resumable, of any size, with checksums.

TFDS's own writer sorts through TensorFlow's files above 1 GB and starts anew when it was stopped. Here the order is that of a
hash of each example's name, known before an image is read, so one shard after the other is written with one image in memory.
Until all is there it lies in a folder of another name; a shard has its name only when it is whole.
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
from typing import Any

from imgloc import files
from imgloc.data.prepared.members import file_sha256
from imgloc.errors import UserError, storage_error

CHECKSUMS = "checksums.json"
RECORDED = ("examples", "bytes", "record_bytes", "sha256")  # of each shard there
SHARD_BYTES = 2**26  # of images; what is lost of work when it is stopped
SHARD_EXAMPLES = 2048  # reading one record takes array_record (0.8.6) 6 microseconds and 2 more for each 1,000 records of its file
MOST_SHARDS = 1024
ARRAY_RECORD = "group_size:1"  # a record by itself: read at random


@dataclass(frozen=True)
class Plan:
    """What is to be written: the names of the examples, told without reading images, and how one is made."""

    sizes: Mapping[str, Mapping[str, int]]  # split -> name -> bytes of its image
    example: Callable[[str, str], dict[str, Any]]  # (split, name) -> TFDS's fields
    sha256: Callable[[], str]  # of what they are made of
    classes: tuple[str, ...]
    class_names: tuple[str, ...]  # what people call them


@dataclass(frozen=True)
class Shard:
    """One file to be written: its examples in order."""

    split: str
    file: str
    names: tuple[str, ...]


def shards_of(name: str, plan: Plan, shard_bytes: int) -> list[Shard]:
    """The shards of all splits, of at most about this many bytes of images and SHARD_EXAMPLES each, MOST_SHARDS a split."""
    found = []
    for split, sizes in plan.sizes.items():
        names = sorted(sizes, key=lambda key, split=split: (hashlib.sha256(f"{split}/{key}".encode()).digest(), key))  # type: ignore[misc]
        wanted = max(-(-sum(sizes.values()) // shard_bytes), -(-len(names) // SHARD_EXAMPLES))
        count = min(wanted, len(names), MOST_SHARDS)
        for i in range(count):
            start, stop = len(names) * i // count, len(names) * (i + 1) // count
            found.append(Shard(split, f"{name}-{split}.array_record-{i:05d}-of-{count:05d}", tuple(names[start:stop])))
    return found


def write(builder: Any, plan: Plan, *, shard_bytes: int = SHARD_BYTES, wrote: Callable[[int], None] = lambda _: None) -> tuple[Path, int]:
    """Write all shards that are not there yet, then TFDS's metadata; returns the folder and how many shards were there already.

    `builder` is TFDS's, its features described; its data_dir says where. `wrote` is told of examples as they come to be there.
    Raises UserError where an image cannot be read, OSError where a shard cannot be written.
    """
    final = Path(builder.data_dir)
    with _alone(final.parent):
        return _write(builder, plan, final, shard_bytes, wrote)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse while another process writes under a folder; one that was killed holds nothing."""
    with files.naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"another process is preparing {folder}; wait for it, or end it") from None
        yield
    finally:
        os.close(handle)


def _write(builder: Any, plan: Plan, final: Path, shard_bytes: int, wrote: Callable[[int], None]) -> tuple[Path, int]:
    working = final.with_name(f".{final.name}.unfinished")
    shards = shards_of(builder.name, plan, shard_bytes)
    content = {
        "data_set": builder.info.full_name,
        "source_sha256": plan.sha256(),
        "order": files.fingerprint([[shard.file, *shard.names] for shard in shards]),
        "features": files.fingerprint([repr(builder.info.features), list(plan.classes)]),
        "shards": {},
    }
    done = _resumed(working, content)
    there = 0
    for shard in shards:
        if shard.file in done and _whole(working / shard.file, done[shard.file]):
            there += 1
            wrote(len(shard.names))
            continue
        done[shard.file] = _write_shard(builder.info.features, plan, shard, working / shard.file, wrote)
        files.write_json(working / CHECKSUMS, {**content, "shards": done})
    files.write_json(working / CHECKSUMS, {**content, "shards": {shard.file: done[shard.file] for shard in shards}})
    _write_metadata(builder, shards, done, working)
    with files.naming(final):
        os.replace(working, final)
    return final, there


def _resumed(working: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The shards that an earlier call has written of the very same; else an empty folder."""
    try:
        found = files.read_json(working / CHECKSUMS)
        if {**found, "shards": {}} == content:
            return {name: {key: shard[key] for key in RECORDED} for name, shard in found["shards"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    if working.exists():
        shutil.rmtree(working)
    with files.naming(working):
        working.mkdir(parents=True)
    return {}


def _whole(path: Path, recorded: Mapping[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == recorded["bytes"] and file_sha256(path) == recorded["sha256"]


def _write_shard(features: Any, plan: Plan, shard: Shard, path: Path, wrote: Callable[[int], None]) -> dict[str, Any]:
    """Write one file under a temporary name, then rename it; returns what CHECKSUMS keeps of it."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter

    serializer = tfds.core.ExampleSerializer(features.get_serialized_info())
    temporary = path.with_name(f"{path.name}.tmp")
    size = 0
    with files.naming(path):
        try:
            writer = ArrayRecordWriter(str(temporary), ARRAY_RECORD)
            try:
                for name in shard.names:
                    message = serializer.get_tf_example(features.encode_example(plan.example(shard.split, name)))
                    record = message.SerializeToString(deterministic=True)  # else fields come in another order in each process
                    writer.write(record)
                    size += len(record)
                    wrote(1)
            finally:
                writer.close()
        except RuntimeError as error:  # array_record's, whatever the disk says
            raise storage_error(error, str(path)) from error
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    return {"examples": len(shard.names), "bytes": path.stat().st_size, "record_bytes": size, "sha256": file_sha256(path)}


def _write_metadata(builder: Any, shards: list[Shard], done: Mapping[str, Any], folder: Path) -> None:
    """dataset_info.json, features.json and what else TFDS reads a data set by."""
    import tensorflow_datasets as tfds

    template = tfds.core.ShardedFileTemplate(data_dir=folder, dataset_name=builder.name, filetype_suffix="array_record")
    splits = []
    for split in dict.fromkeys(shard.split for shard in shards):
        its = [done[shard.file] for shard in shards if shard.split == split]
        splits.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[one["examples"] for one in its],
                num_bytes=sum(one["record_bytes"] for one in its),
                filename_template=template.replace(split=split),
            )
        )
    builder.info.set_file_format("array_record")
    builder.info.set_splits(tfds.core.splits.SplitDict(splits))
    builder.info.write_to_directory(folder)


def check(folder: Path, source_sha256: str | None = None) -> int:
    """Read all files of a prepared data set again; how many match their checksums. Raises UserError where one does not."""
    try:
        recorded = files.read_json(folder / CHECKSUMS)
        shards = {name: {"bytes": int(shard["bytes"]), "sha256": str(shard["sha256"])} for name, shard in recorded["shards"].items()}
        made_from = str(recorded["source_sha256"])
        if any("/" in name for name in shards):
            raise ValueError("it names files elsewhere")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{folder} has no {CHECKSUMS} that can be read: imgloc did not prepare it; delete it to prepare anew") from error
    bad = [name for name, shard in shards.items() if not _whole(folder / name, shard)]
    if bad:
        raise UserError(f"{folder}: {len(bad)} of {len(shards)} files differ from their checksums: {bad[0]}; delete it to prepare anew")
    if source_sha256 is not None and source_sha256 != made_from:
        was = f"SHA-256 {made_from[:12]}..., this one {source_sha256[:12]}..."
        raise UserError(f"{folder} was prepared from other files ({was}); delete it to prepare anew")
    return len(shards)
