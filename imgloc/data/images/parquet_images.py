"""Encoded images inside Parquet files: `train.parquet/image/00000007` names row 7 of the column `image`.

pyarrow, an extra, is imported only to read such a file. A row can only be read with all rows of its row group, so the row groups that
were read last are kept in memory.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgloc.errors import UnreadableImage, UserError, one_line

if TYPE_CHECKING:
    import pyarrow.parquet

SUFFIX = ".parquet"
MAX_CACHED_BYTES = 2**30  # of row groups, for each process; one larger group is kept alone
INSTALL = "reading Parquet files requires pyarrow, which is not installed; install it with: pip install 'imgloc[parquet]'"
_MEMBER = re.compile(r"(.+\.parquet)/([^/]+)/([0-9]{1,12})", re.IGNORECASE)
_Key = tuple[str, int, int, str, int]  # a file with its time and size, a column, and a row group
_groups: OrderedDict[_Key, Any] = OrderedDict()
_lock = threading.Lock()


def member(container: str, column: str, row: int) -> str:
    """Returns the name of an image in a Parquet file; names are in the order of rows."""
    return f"{container}/{column}/{row:08d}"


def container_of(name: str) -> str:
    """Returns the Parquet file that an image is in by its name; the name itself if it does not name a row."""
    match = _MEMBER.fullmatch(name)
    return match[1] if match else name


def open_parquet(path: Path | str) -> pyarrow.parquet.ParquetFile:
    """Returns an opened Parquet file. Raises UserError without pyarrow, and errors of pyarrow or of the system for other files."""
    status = os.stat(path)
    return _open(str(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=64)
def _open(path: str, time: int, size: int) -> pyarrow.parquet.ParquetFile:
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError(INSTALL) from None
    return pyarrow.parquet.ParquetFile(path)


def read_image(root: Path | str, name: str, max_bytes: int) -> bytes:
    """Returns the encoded image that a name of `member` leads to.

    Raises UnreadableImage if the file or the row cannot be read, or if the image has more than `max_bytes` bytes.
    """
    match = _MEMBER.fullmatch(name)
    assert match is not None, "a name of `member`"
    try:
        content = _value(os.path.join(root, match[1]), match[2], int(match[3]))
    except UserError:
        raise
    except Exception as error:  # pyarrow raises errors of many types for damaged files
        raise UnreadableImage(f"{name}: it cannot be read: {one_line(error, lines=1)[:200]}") from error
    if not isinstance(content, bytes):
        raise UnreadableImage(f"{name}: the row has no image")
    if len(content) > max_bytes:
        raise UnreadableImage(f"{name}: it has {len(content):,} bytes; at most {max_bytes:,} are read")
    return content


def _value(path: str, column: str, row: int) -> object:
    file, status = open_parquet(path), os.stat(path)
    group = 0
    while row >= file.metadata.row_group(group).num_rows:
        row -= file.metadata.row_group(group).num_rows
        group += 1
    key = (path, status.st_mtime_ns, status.st_size, column, group)
    with _lock:  # a check reads images in threads
        rows = _groups.pop(key, None)
        if rows is None:
            rows = file.read_row_group(group, columns=[column], use_threads=False).column(column)
        _groups[key] = rows
        while len(_groups) > 1 and sum(cached.nbytes for cached in _groups.values()) > MAX_CACHED_BYTES:
            _groups.popitem(last=False)
    value = rows[row].as_py()
    return value.get("bytes") if isinstance(value, dict) else value
