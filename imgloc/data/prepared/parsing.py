"""Records that lie prepared: opened for random access, and taken apart into their fields."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
from typing import Any

from imgloc.data.prepared.opening import Part
from imgloc.errors import UserError

SPARE_FILES = 512  # that are open beside those of records
ANEW = "imgloc data prepare says which files are not as they were; delete the folder to prepare it anew"


def open_records(parts: tuple[Part, ...]) -> Any:
    """Random access to the serialized records of these parts, one part after another. Raises UserError where a file is gone."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    for part in parts:
        if not os.path.isfile(part.file):
            raise UserError(f"{part.file} {'is no file' if os.path.exists(part.file) else 'is gone'}; {ANEW}")
    _allow_open(4 * len(parts))  # splits beside this one, and a source that is made again
    return ArrayRecordDataSource([f"{part.file}[{part.start}:{part.stop}]" for part in parts])


def _allow_open(count: int) -> None:
    """Let this process, and the workers that it starts, hold so many files open: array_record does, all of a data set (ImageNet: 1,024)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES if hard == resource.RLIM_INFINITY else min(count + SPARE_FILES, hard)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # a system with a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@functools.cache
def _example_message() -> Any:
    from tensorflow_datasets.proto import tf_example_pb2

    return tf_example_pb2.Example


def fields_of_record(record: bytes) -> Any:
    """The fields of a serialized record by name; one that it lacks reads as empty lists."""
    return _example_message().FromString(record).features.feature
