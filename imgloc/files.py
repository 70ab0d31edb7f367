"""Atomic writing of files: each is written under a temporary name and then renamed, so that it is complete or absent."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from imgloc.errors import UserError, storage_message


def write_text(path: Path, text: str) -> None:
    """Write a file atomically; missing parent folders are created."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; missing parent folders are created. An OSError names the file."""
    temporary = path.with_name(f".{path.name}.{_process()}.tmp")
    with errors_naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _process() -> str:
    """Return a name of this process that is unique among the hosts and containers that share a file system."""
    return f"{socket.gethostname()}.{os.getpid()}"


@contextlib.contextmanager
def errors_naming(path: Path) -> Iterator[None]:
    """Let an OSError that is raised inside name this file; without this it names no file or a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def open_lock(path: Path) -> TextIO:
    """Open a file for locking; it is created where it is missing, and its content stays. Raises OSError for a symbolic link."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return os.fdopen(handle, "r+")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, waiting for other processes that hold it."""
    with errors_naming(path), open_lock(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def check_writable(folder: Path) -> None:
    """Raise UserError where no file can be written to a folder, or to the parent in which it would be created."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    probe = existing / f".probe.{_process()}"
    try:
        try:
            write_bytes(probe, bytes(2**16))
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(storage_message(OSError(error.errno, error.strerror, str(folder)))) from error


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with the keys in their given order. Raises ValueError for NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises ValueError where it is not valid JSON; NaN is not valid either."""
    try:
        return json.loads(path.read_text(), parse_constant=_reject)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not valid JSON")


def fingerprint(value: Any) -> str:
    """Return 16 hex digits of the SHA-256 of a JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_replaceable(path: Path, mark: bytes, what: str) -> None:
    """Raise UserError where a file exists that does not contain the mark near its beginning, so that imgloc did not write it."""
    if not os.path.lexists(path):
        return
    try:
        with path.open("rb") as file:
            is_marked = mark in file.read(4096)
    except OSError:
        is_marked = False
    if not is_marked:
        raise UserError(f"{what} would overwrite '{path}', which imgloc did not write; choose another path")


def unique_name(stem: str, taken: set[str]) -> str:
    """Return the stem, with a number appended where that name is taken; the name is added to `taken`."""
    name, number = stem, 2
    while name.casefold() in taken:  # some file systems do not distinguish a.png from A.png
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.casefold())
    return name
