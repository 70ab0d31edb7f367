"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from imgloc.errors import UserError, of_storage


def write_text(path: Path, text: str) -> None:
    """Write a file in one piece; folders above it are made."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one piece; folders above it are made. An OSError names the file."""
    temporary = path.with_name(f".{path.name}.{_process()}.tmp")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _process() -> str:
    """What tells this process from others that see the same folders: hosts, and containers more so, count theirs alike."""
    return f"{socket.gethostname()}.{os.getpid()}"


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError inside it names this file: those of writing name none, those of temporary files another."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_writable(folder: Path) -> None:
    """Refuse, before any work, a folder (or where it would be made) that takes no files or has no room. Raises UserError."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    probe = existing / f".room.{_process()}"
    try:
        try:
            write_bytes(probe, bytes(2**16))
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(of_storage(OSError(error.errno, error.strerror, str(folder)))) from error


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with sorted keys as they come; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises ValueError where it is none that `write_json` writes: NaN is refused too."""
    return json.loads(path.read_text(), parse_constant=_refused)


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def fingerprint(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


MARKED_WITHIN = 4096  # bytes: where the mark of a file of ours stands


def check_replaceable(path: Path, mark: bytes, what: str) -> None:
    """Raises UserError where a file would replace anything but an earlier one with the same mark near its beginning."""
    if not os.path.lexists(path):
        return
    try:
        with path.open("rb") as file:
            ours = mark in file.read(MARKED_WITHIN)
    except OSError:
        ours = False
    if not ours:
        raise UserError(f"{what} would overwrite '{path}', which imgloc did not make; choose another place")


def unique_name(stem: str, taken: set[str]) -> str:
    """A name that is not taken yet, with a number behind it where needed; it is added to `taken`."""
    name, number = stem, 2
    while name.casefold() in taken:  # some file systems do not distinguish a.png from A.png
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.casefold())
    return name
