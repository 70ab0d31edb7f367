"""PyTorch's files of tensors, without PyTorch: the zip archives that torch.save writes since version 1.6, and the plain files before that.

An archive has `NAME/data.pkl`, a pickle of the values, and `NAME/data/KEY`, the bytes of each storage, none of them compressed. A plain
file has five pickles (a magic number, a version, facts on the system, the values, the keys of the storages) and then, for each key in
that order, the number of elements of the storage, as 8 bytes, and its bytes.
"""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from imgloc.errors import UserError, one_line
from imgloc.pretrained.loading.tensors import MAX_NUMBER, STORAGE_DTYPES, Storage
from imgloc.pretrained.loading.unpickle import StorageKind, unpickle

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # of plain files
PERSISTENT_ID = "storage"
ZIP = b"PK\x03\x04"


def read_pytorch(path: Path) -> Any:
    """The value in a file of PyTorch: plain containers and numbers, with a `Tensor` for each tensor.

    Raises UserError, with a message that does not name the file, for a file that holds anything else or is damaged.
    """
    with path.open("rb") as file:
        if file.read(len(ZIP)) != ZIP:
            file.seek(0)
            return _read_plain(file, path.stat().st_size)
    return _read_archive(path)


def _storage(identifier: Any, read: Callable[[Storage], bytes], *, big_endian: bool = False) -> Storage:
    """The storage of a persistent id (`storage`, class, key, device, elements), which plain files extend by the part of a shared one."""
    if (
        not isinstance(identifier, tuple)
        or len(identifier) not in (5, 6)
        or identifier[0] != PERSISTENT_ID
        or identifier[5:] not in ((), (None,))
    ):
        raise UserError("its pickle refers to an object that is not a whole storage of tensors")
    _, kind, key, _, size = identifier[:5]
    if not isinstance(kind, StorageKind) or not isinstance(key, str) or type(size) is not int or not 0 <= size < MAX_NUMBER:
        raise UserError(f"a storage is not described by a class ({', '.join(STORAGE_DTYPES)}), a key and a number of elements")
    return Storage(kind.name, key, size, read, big_endian)


def _read_archive(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            # Without compression the entries cannot be larger than the file, however small that is.
            if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
                raise UserError("its entries are compressed, which those of torch.save are not")
            if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
                raise UserError("its entries overlap")
            (pickle,) = [name for name in entries if name.rpartition("/")[2] == "data.pkl"] or [""]
            if not pickle:
                raise UserError("it is a zip archive without a data.pkl")
            folder = pickle.removesuffix("data.pkl")
            order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in entries else b"little"
            if order not in (b"little", b"big"):
                raise UserError("its byteorder is neither little nor big")
            storages: dict[tuple[str, str, int], Storage] = {}

            def load_storage(identifier: Any) -> Storage:
                found = _storage(identifier, functools.partial(_read_entry, path, folder), big_endian=order == b"big")
                entry = entries.get(f"{folder}data/{found.key}")
                if entry is None or entry.file_size != found.nbytes:
                    got = "none" if entry is None else f"{entry.file_size}"
                    raise UserError(f"storage {found.key!r} must have {found.nbytes} bytes, got {got}")
                return storages.setdefault((found.kind, found.key, found.size), found)

            return unpickle(io.BytesIO(archive.read(pickle)), load_storage)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"it is a damaged zip archive ({one_line(error)})") from error


def _read_entry(path: Path, folder: str, storage: Storage) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(f"{folder}data/{storage.key}")
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:  # such as a wrong CRC
        raise UserError(f"storage {storage.key!r} is damaged ({one_line(error)})") from error


def _read_plain(file: BinaryIO, length: int) -> Any:
    contents: dict[str, bytes] = {}
    storages: dict[str, Storage] = {}

    def no_storage(_: Any) -> Any:
        raise UserError("its header refers to a storage")

    def load_storage(identifier: Any) -> Storage:
        found = _storage(identifier, lambda storage: contents[storage.key])
        known = storages.setdefault(found.key, found)
        if (known.kind, known.size) != (found.kind, found.size):
            raise UserError(f"storage {found.key!r} has two sizes or types")
        return known

    try:
        if (unpickle(file, no_storage), unpickle(file, no_storage)) != (MAGIC, VERSION):
            raise UserError("it has another version")
    except UserError as error:
        raise UserError(f"it is not a file of torch.save ({error})") from error
    unpickle(file, no_storage)  # sizes of types on the machine that wrote it; storages are little-endian on all machines
    value = unpickle(file, load_storage)
    keys = unpickle(file, no_storage)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(storages):
        raise UserError("the list of its storages is damaged")
    for key in keys:
        storage = storages[key]
        size = int.from_bytes(file.read(8), "little", signed=True)
        if size != storage.size or storage.nbytes > length - file.tell():
            raise UserError(
                f"storage {key!r} must have {storage.size} elements of {storage.nbytes} bytes in all; the file is damaged or cut off"
            )
        contents[key] = file.read(storage.nbytes)
    return value
