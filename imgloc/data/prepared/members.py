"""Read-only access to the files of a zip archive or a folder, without extraction and without reading files outside."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from imgloc.errors import UserError, one_line

MAX_BYTES = 2**28  # of one file: a small archive may unpack to more than any disk


@dataclass(frozen=True)
class Members:
    """The files of a zip archive or a folder, by names relative to `inside`, separated by "/"."""

    where: Path
    sizes: Mapping[str, int]  # bytes, unpacked
    archive: zipfile.ZipFile | None = None  # None for a folder
    inside: str = ""  # a folder in the archive: empty, or with "/" at its end

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises UserError if it is missing, damaged or larger than MAX_BYTES."""
        if name not in self.sizes:
            raise UserError(f"no file {self.inside}{name} in {self.where}")
        if self.sizes[name] > MAX_BYTES:
            raise UserError(f"{self.inside}{name} in {self.where} has {self.sizes[name]:,} bytes; the limit is {MAX_BYTES:,}")
        try:
            if self.archive is not None:
                return self.archive.read(self.inside + name)
            return (self.where / self.inside / name).read_bytes()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:  # RuntimeError: it is encrypted
            raise UserError(f"cannot read {self.inside}{name} in {self.where}: {one_line(error)}") from error

    def text(self, name: str) -> str:
        """The text of a UTF-8 file. Raises UserError as `read` does, and if the file is not UTF-8."""
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{self.inside}{name} in {self.where} is not UTF-8 text: {one_line(error)}") from error

    def below(self, folder: str) -> Members:
        """The files under a folder, which is empty or has "/" at its end, by names relative to it."""
        sizes = {name[len(folder) :]: size for name, size in self.sizes.items() if name.startswith(folder)}
        return Members(self.where, sizes, self.archive, self.inside + folder)

    def sha256(self, names: Iterable[str]) -> str:
        """The SHA-256 of an archive file, or of the names and contents of these files of a folder."""
        if self.archive is not None:
            return file_sha256(self.where)
        digest = hashlib.sha256()
        for name in sorted(names):
            digest.update(f"{name}\0{hashlib.sha256(self.read(name)).hexdigest()}\n".encode())
        return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_members(where: Path) -> Members:
    """The files of a zip archive or a folder, without names and links that lead outside.

    Raises UserError if `where` is neither.
    """
    if where.is_dir():
        return Members(where, _folder_sizes(where))
    if not where.is_file():
        raise UserError(f"no such file or folder: {where}; expected a zip archive or the folder that it unpacks to")
    try:
        archive = zipfile.ZipFile(where)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError) as error:
        raise UserError(f"{where} is not a readable zip archive: {one_line(error)}") from error
    return Members(where, {m.filename: m.file_size for m in archive.infolist() if not m.is_dir() and _stays_inside(m.filename)}, archive)


def _stays_inside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return bool(parts[0]) and ".." not in parts and ":" not in parts[0]


def _folder_sizes(where: Path) -> dict[str, int]:
    real = os.path.realpath(where)
    sizes = {}
    for folder, _, names in os.walk(where):
        relative = os.path.relpath(folder, where).replace(os.sep, "/")
        prefix = "" if relative == "." else f"{relative}/"
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) and not os.path.realpath(path).startswith(real + os.sep):
                continue
            if os.path.isfile(path):
                sizes[prefix + name] = os.path.getsize(path)
    return sizes
