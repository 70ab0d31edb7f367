"""The files of a data set's folder. They are listed once, and no other file is opened.

Annotation files are untrusted input. An image's name is looked up among the listed files, so no name leads outside the folder.
Symbolic links that leave the folder are not followed, and only regular files are opened.
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
MAX_BYTES = 2**31  # of an annotation file; COCO's largest has 0.45 GB
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # and lone surrogates
_ABSOLUTE_OR_BACKSLASH = re.compile(r"\\|^/|^[A-Za-z]:")


@dataclass(frozen=True)
class Listing:
    """The regular files of a folder: paths relative to it, with "/", mapped to size in bytes and modification time in ns."""

    root: Path
    files: Mapping[str, tuple[int, int]]
    faults: tuple[Fault, ...] = ()  # entries that were not followed

    @cached_property
    def state(self) -> str:
        """A hash of all names, sizes and times, which differs after any file has changed."""
        digest = hashlib.sha256()
        for name, status in sorted(self.files.items()):
            digest.update(f"{name}\0{status}\0".encode())
        return digest.hexdigest()

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The files with a suffix of images, sorted."""
        return tuple(sorted(name for name in self.files if name.lower().endswith(IMAGE_SUFFIXES)))

    @cached_property
    def _images_by_name(self) -> Mapping[str, list[str]]:
        """Images by base name, with and without its suffix."""
        images: dict[str, list[str]] = {}
        for path in self.images:
            name = path.rpartition("/")[2]
            for key in {name, name.rpartition(".")[0]}:
                images.setdefault(key, []).append(path)
        return images

    def images_below(self, folder: str) -> tuple[str, ...]:
        """Returns the images in a folder and its subfolders, sorted; all images for ""."""
        if not folder:
            return self.images
        return self.images[bisect.bisect_left(self.images, f"{folder}/") : bisect.bisect_left(self.images, f"{folder}0")]  # "0" follows "/"

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Returns the files whose lower-case names end in one of the suffixes, sorted."""
        return sorted(name for name in self.files if name.lower().endswith(suffixes))

    def find_image(self, name: str, folders: Iterable[str]) -> str | None:
        """Returns the image that an annotation names: in one of `folders`, else the only image of this base name anywhere.

        A name without a suffix matches any image suffix. If there is no such image, returns its path in the first of `folders`.
        Returns None for names that could lead outside the folder: absolute paths, "..", drive letters and backslashes.
        """
        path = safe_path(name)
        if path is None:
            return None
        candidates = [f"{folder}/{path}" if folder else path for folder in folders]
        for candidate in candidates:
            if candidate in self.files:
                return candidate
        splits = {split_of_folders(candidate) for candidate in candidates} - {""}
        same_name = self._images_by_name.get(path.rpartition("/")[2], [])
        if splits:  # an image of the same name in the folder of another split is a different image
            same_name = [image for image in same_name if split_of_folders(image) in ("", *splits)]
        for candidate in candidates:
            for suffix in IMAGE_SUFFIXES:
                for image in (candidate + suffix, candidate + suffix.upper()):
                    if image in self.files:
                        return image
        if 1 < len(same_name) < 1000 and "/" in path:
            same_name = [image for image in same_name if image.endswith((f"/{path}", path))]
        return same_name[0] if len(same_name) == 1 else [*candidates, path][0]

    def read_text(self, name: str, max_bytes: int = MAX_BYTES) -> str:
        """Returns a listed file's UTF-8 text. Raises ValueError, with the reason, if it is too large, unreadable or not text."""
        if self.files[name][0] > max_bytes:
            raise ValueError(f"the file has {self.files[name][0]:,} bytes; at most {max_bytes:,} are read")
        try:
            content = (self.root / name).read_bytes()
            if b"\0" in content:
                raise ValueError("it is not a text file: it contains NUL bytes")
            return content.decode("utf-8-sig")
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"it is not UTF-8: byte {error.start}") from error

    def head(self, name: str, size: int = 4096) -> str:
        """Returns the first bytes of a listed file as text, with replacement characters; "" if it cannot be read."""
        try:
            with (self.root / name).open("rb") as file:
                return file.read(size).decode("utf-8-sig", "replace")
        except OSError:
            return ""


def list_folder(folder: Path | Listing) -> Listing:
    """Returns the regular files under a folder without hidden ones; a listing is returned unchanged.

    Raises UserError if the folder does not exist.
    """
    if isinstance(folder, Listing):
        return folder
    if not folder.is_dir():
        raise UserError(f"no such folder: '{folder}'; data.options.folder must name a folder of images and their annotations")
    root = Path(os.path.realpath(folder))
    files: dict[str, tuple[int, int]] = {}
    faults: list[Fault] = []
    pending = [(root, "")]
    while pending:
        path, prefix = pending.pop()
        try:
            entries = list(os.scandir(path))
        except OSError as error:
            faults.append(Fault("bad_annotation", prefix or ".", f"the folder cannot be read: {error.strerror}"))
            continue
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if _CONTROL_CHARACTERS.search(entry.name):
                faults.append(Fault("bad_annotation", ascii(name), "the file's name is not text"))
            elif entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
                faults.append(Fault("outside_folder", name, "the link leads outside the data's folder and is not followed"))
            elif entry.is_dir(follow_symlinks=False):
                pending.append((Path(entry.path), f"{name}/"))
            else:
                with contextlib.suppress(OSError):  # it was deleted meanwhile, or is a link to itself
                    if entry.is_file():
                        status = entry.stat()
                        files[name] = (status.st_size, status.st_mtime_ns)
    return Listing(root, files, tuple(sorted(faults, key=lambda fault: fault.where)))


def safe_path(name: str) -> str | None:
    """Returns a file's name as a normalized relative path with "/"; None if it could lead outside its folder."""
    if _CONTROL_CHARACTERS.search(name) or _ABSOLUTE_OR_BACKSLASH.search(name):
        return None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return None if not parts or ".." in parts else "/".join(parts)


def parent_folders(name: str) -> Iterator[str]:
    """Yields the folder of a file, the folder above it, and so on; the last one is "", the data's folder."""
    while name:
        name = name.rpartition("/")[0]
        yield name


def split_of_name(name: str) -> str:
    """Returns the split in a file's name, or "": train_labels.csv, instances_val2017.json, train-fullsup."""
    words = re.findall("[a-z]+", name.lower())
    splits = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    return splits[-1] if splits else "train" if "trainval" in words else ""


def split_of_folders(name: str) -> str:
    """Returns the split that the innermost such folder of a path is named after, or "": images/val2017/a.jpg."""
    for folder in reversed(name.split("/")[:-1]):
        word = folder.lower().rstrip("0123456789")
        if word in SPLIT_NAMES:
            return SPLIT_NAMES[word]
    return ""
