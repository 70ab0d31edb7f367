"""Random access to the records of prepared data sets, and parsing of a record into its fields."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imgloc.data.prepared.opening import Part
from imgloc.errors import UserError

if TYPE_CHECKING:
    from tensorflow_datasets.proto.tf_example_pb2 import Feature

SPARE_FILES = 512  # open files besides those of records
REPAIR_HINT = "imgloc data prepare reports which files have changed; delete the folder to prepare it again"


def open_records(parts: tuple[Part, ...]) -> Sequence[bytes]:
    """Random access to the serialized records of these parts, in order. Raises UserError if a file is missing."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    for part in parts:
        if not os.path.isfile(part.file):
            raise UserError(f"{part.file} {'is not a file' if os.path.exists(part.file) else 'is missing'}; {REPAIR_HINT}")
    _allow_open(4 * len(parts))  # with other splits, and sources that are opened again
    records: Sequence[bytes] = ArrayRecordDataSource([f"{part.file}[{part.start}:{part.stop}]" for part in parts])
    return records


def _allow_open(count: int) -> None:
    """Raises the limit on open files of this process and its workers: array_record opens all files (1,024 of ImageNet)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = count + SPARE_FILES if hard == resource.RLIM_INFINITY else min(count + SPARE_FILES, hard)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < limit:
        with contextlib.suppress(ValueError, OSError):  # the system may have a lower limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@functools.cache
def _example_message() -> Any:
    from tensorflow_datasets.proto import tf_example_pb2

    return tf_example_pb2.Example


def parse_record(record: bytes) -> Mapping[str, Feature]:
    """The fields of a serialized record by name; missing fields are empty lists."""
    fields: Mapping[str, Feature] = _example_message().FromString(record).features.feature
    return fields
