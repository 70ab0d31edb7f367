"""The files of a data set's folder: found once, and the only ones that are ever opened.

Annotation files name images, and may come from anybody: a name is looked up among the files that were found, so none leads
outside, whatever it says. Links that lead out of the folder are not followed, nor is anything opened but regular files.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from imgloc.data.annotated.annotations import Fault
from imgloc.errors import UserError

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff",
    ".bmp", ".dib", ".pgm", ".ppm", ".pnm", ".jp2", ".avif", ".tga", ".qoi", ".mpo",
)  # fmt: skip
SPLIT_NAMES = {
    "train": "train", "training": "train", "trn": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation", "fullsup": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
LARGEST_FILE = 2**31  # bytes of an annotation file; COCO's largest has 0.45 GB
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LEADS_OUT = re.compile(r"\\|^/|^[A-Za-z]:")


@dataclass(frozen=True)
class Listing:
    """The regular files of a folder by their paths relative to it (with "/"), each with its size and time of change in ns."""

    root: Path
    files: Mapping[str, tuple[int, int]]
    faults: tuple[Fault, ...] = ()  # what was found and not followed

    @cached_property
    def state(self) -> str:
        """A hash of all files' names, sizes and times: another one when any has changed."""
        found = hashlib.sha256()
        for name, status in sorted(self.files.items()):
            found.update(f"{name}\0{status}\0".encode())
        return found.hexdigest()

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The files whose names say that they are images, ordered."""
        return tuple(sorted(name for name in self.files if name.lower().endswith(IMAGE_SUFFIXES)))

    @cached_property
    def _images_by_name(self) -> Mapping[str, list[str]]:
        """Images by their last name, and by that without its suffix."""
        found: dict[str, list[str]] = {}
        for path in self.images:
            name = path.rpartition("/")[2]
            for key in {name, name.rpartition(".")[0]}:
                found.setdefault(key, []).append(path)
        return found

    def images_below(self, folder: str) -> tuple[str, ...]:
        """The images in a folder, at any depth, ordered; of "" all."""
        if not folder:
            return self.images
        return self.images[bisect.bisect_left(self.images, f"{folder}/") : bisect.bisect_left(self.images, f"{folder}0")]  # "0" follows "/"

    def ending(self, *suffixes: str) -> list[str]:
        """The files with these suffixes (in small letters), ordered."""
        return sorted(name for name in self.files if name.lower().endswith(suffixes))

    def find(self, said: str, near: Iterable[str]) -> str | None:
        """The image that an annotation calls `said`: in one of the folders `near`, else the only one of its name anywhere.

        Names without a suffix find images of any. Where there is none, the path where it would be first looked for. None for
        what could lead outside the folder: absolute paths, "..", drive letters and backslashes.
        """
        name = inside(said)
        if name is None:
            return None
        candidates = [f"{folder}/{name}" if folder else name for folder in near]
        for candidate in candidates:
            if candidate in self.files:
                return candidate
        expected = {split_of_folders(candidate) for candidate in candidates} - {""}
        named = self._images_by_name.get(name.rpartition("/")[2], [])
        if expected:  # an image of its name in another split's folder is another
            named = [path for path in named if split_of_folders(path) in ("", *expected)]
        for candidate in candidates:
            for suffix in IMAGE_SUFFIXES:
                for path in (candidate + suffix, candidate + suffix.upper()):
                    if path in self.files:
                        return path
        if 1 < len(named) < 1000 and "/" in name:
            named = [path for path in named if path.endswith((f"/{name}", name))]
        return named[0] if len(named) == 1 else [*candidates, name][0]

    def read_bytes(self, name: str, at_most: int = LARGEST_FILE) -> bytes:
        """A listed file's content. Raises ValueError, with the reason, where it is longer or cannot be read."""
        if self.files[name][0] > at_most:
            raise ValueError(f"the file has {self.files[name][0]:,} bytes; at most {at_most:,} are read")
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error

    def read_text(self, name: str, at_most: int = LARGEST_FILE) -> str:
        """A listed file as text, UTF-8. Raises ValueError, with the reason, where it is none."""
        content = self.read_bytes(name, at_most)
        if b"\0" in content:
            raise ValueError("it is no text: it has NUL bytes")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"it is not UTF-8: byte {error.start}") from error

    def head(self, name: str, size: int = 4096) -> str:
        """The first bytes of a listed file as text, whatever they are; "" where it cannot be read."""
        try:
            with (self.root / name).open("rb") as file:
                return file.read(size).decode("utf-8-sig", "replace")
        except OSError:
            return ""


def list_folder(folder: Path | Listing) -> Listing:
    """All regular files under a folder but hidden ones; a listing as it is. Raises UserError where there is no such folder."""
    if isinstance(folder, Listing):
        return folder
    if not folder.is_dir():
        raise UserError(f"no such folder: '{folder}'; data.options.folder names one with images and their annotations")
    root = Path(os.path.realpath(folder))
    found: dict[str, tuple[int, int]] = {}
    faults: list[Fault] = []
    waiting = [(root, "")]
    while waiting:
        path, prefix = waiting.pop()
        try:
            entries = list(os.scandir(path))
        except OSError as error:
            faults.append(Fault("bad_annotation", prefix or ".", f"the folder cannot be read: {error.strerror}"))
            continue
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if _NO_TEXT.search(entry.name):
                faults.append(Fault("bad_annotation", ascii(name), "the file's name is no text"))
            elif entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
                faults.append(Fault("outside_folder", name, "a link that leads out of the data's folder is not followed"))
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((Path(entry.path), f"{name}/"))
            else:
                with contextlib.suppress(OSError):  # it has just gone, or is a link to itself
                    if entry.is_file():
                        status = entry.stat()
                        found[name] = (status.st_size, status.st_mtime_ns)
    return Listing(root, found, tuple(sorted(faults, key=lambda fault: fault.where)))


def inside(said: str) -> str | None:
    """A file's name as a relative path with "/", None where it could lead out of the folder that it is relative to."""
    if _NO_TEXT.search(said) or _LEADS_OUT.search(said):
        return None
    parts = [part for part in said.split("/") if part not in ("", ".")]
    return None if not parts or ".." in parts else "/".join(parts)


def folders_of(name: str) -> Iterator[str]:
    """The folder of a file, the folder above it, and so on, with "" for the data's own."""
    while name:
        name = name.rpartition("/")[0]
        yield name


def split_of_name(name: str) -> str:
    """The split that a file's name tells, "" for none: train_labels.csv, instances_val2017.json, train-fullsup."""
    words = re.findall("[a-z]+", name.lower())
    found = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    return found[-1] if found else "train" if "trainval" in words else ""


def split_of_folders(name: str) -> str:
    """The split that a folder above a file is named after, "" for none: images/val2017/a.jpg. The lowest such folder counts."""
    for folder in reversed(name.split("/")[:-1]):
        word = folder.lower().rstrip("0123456789")
        if word in SPLIT_NAMES:
            return SPLIT_NAMES[word]
    return ""
