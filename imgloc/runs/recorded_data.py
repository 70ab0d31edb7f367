"""What a run records of its data when it begins: classes, and the groups that it is trained or selected on.

The data may change later. A run is scored by what it recorded, so labels keep their meaning and no image that it has seen counts as new.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterable

import msgspec
import numpy as np

from imgloc import files
from imgloc.errors import UserError, one_line
from imgloc.runs.run_dir import RunDir
from imgloc.types import IntArray


class RecordedData(msgspec.Struct, frozen=True):
    """What data.json holds."""

    classes: tuple[str, ...]
    channels: int
    fingerprint: str  # of the other fields


def write_data(run: RunDir, classes: tuple[str, ...], channels: int, groups: Collection[str], earlier: IntArray) -> None:
    """Write data.json, and groups.npy: sorted hashes of the groups of this run, and of `earlier` ones, of the runs that it starts from."""
    fields = {"classes": list(classes), "channels": channels}
    content = io.BytesIO()
    np.save(content, np.union1d(hash_groups(groups), earlier), allow_pickle=False)
    files.write_bytes(run.groups, content.getvalue())
    files.write_json(run.data, {**fields, "fingerprint": files.fingerprint(fields)})


def read_data(run: RunDir) -> RecordedData:
    """What a run recorded in data.json. Raises UserError where the file is missing, damaged or changed."""
    try:
        data = msgspec.convert(run.read(run.data), RecordedData)
    except msgspec.ValidationError as error:
        raise UserError(f"'{run.data}' is damaged ({one_line(error)}); restore it, or train the run again") from error
    if data.fingerprint != files.fingerprint({"classes": list(data.classes), "channels": data.channels}):
        raise UserError(f"'{run.data}' was changed after the run began; restore it, or train the run again")
    return data


def read_groups(run: RunDir) -> IntArray:
    """The sorted hashes of the groups that a run has seen. Raises UserError where the file is missing or damaged."""
    try:
        hashes = np.load(io.BytesIO(run.groups.read_bytes()), allow_pickle=False)
        if hashes.dtype != np.uint64 or hashes.ndim != 1:
            raise ValueError(f"{hashes.dtype} {hashes.shape}")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"cannot read '{run.groups}' ({one_line(error)}); restore it, or train the run again") from error
    return np.asarray(hashes)


def seen_groups(groups: Iterable[str], hashes: IntArray) -> list[str]:
    """Those of some groups that are among the hashes, sorted."""
    names = sorted(groups)
    return [name for name, seen in zip(names, np.isin(hash_groups(names), hashes).tolist(), strict=True) if seen]


def hash_groups(groups: Iterable[str]) -> IntArray:
    """An unsigned 64-bit hash of each group."""
    digests = b"".join(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest() for name in groups)
    return np.frombuffer(digests, np.uint64).copy()


def check_unchanged(run: RunDir, split: str, now: str) -> None:
    """Raises UserError where the data of a split has changed since the run began; `now` is its fingerprint."""
    before = run.read(run.provenance).get("data", {}).get(split)
    if before != now:
        raise UserError(
            f"the {split} data of '{run.path}' has changed since the run began (fingerprint {before}, now {now}); "
            "restore the data, or train again with another --workdir"
        )
