"""The files of a data set's folder. They are listed once, and no other file is opened.

Annotation files are untrusted input. An image's name is looked up among the listed files, so no name leads outside the folder.
Symbolic links inside the folder are followed; links that leave it are followed only with `follow_links`. Only regular files are
opened.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.encoding import decode_text, without_nul
from imgloc.data.annotated.splits import split_of_path, splits_of_folders
from imgloc.data.images.parquet_images import container_of
from imgloc.errors import UserError

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".gif", ".webp", ".tif", ".tiff",
    ".bmp", ".dib", ".pgm", ".ppm", ".pnm", ".jp2", ".avif", ".tga", ".qoi", ".mpo",
)  # fmt: skip
#: What imgloc writes, by the files that each of its folders has.
WRITTEN = {
    "a run folder": {"config.json", "provenance.json"},
    "a trained model": {"bundle.json", "variables.safetensors"},
}
MAX_LINKS = 1000  # to folders, that are followed
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

    def status(self, image: str) -> tuple[int, int] | None:
        """Returns size and time of an image file, or of the Parquet file that an image is in; None if it is not listed."""
        return self.files.get(image) or self.files.get(container_of(image))

    @cached_property
    def _splits(self) -> Mapping[str, str]:
        """The split of each folder, "" for a folder that is not named after one."""
        folders = {folder for name in self.files for folder in parent_folders(name)} - {""}
        return dict.fromkeys(folders, "") | splits_of_folders(folders)

    def split_of(self, path: str) -> str:
        """Returns the split that the innermost such folder of a path is named after, or "": images/val2017/a.jpg."""
        return split_of_path(path, self._splits)

    def _index_images(self, key: Callable[[str], str]) -> Mapping[str, list[str]]:
        """Images by a key of their path as `_comparable`, with and without its suffix."""
        images: dict[str, list[str]] = {}
        for path in self.images:
            whole = comparable(path)
            for name in {key(whole), key(whole.removesuffix(Path(whole).suffix))}:
                images.setdefault(name, []).append(path)
        return images

    @cached_property
    def _images_by_path(self) -> Mapping[str, list[str]]:
        return self._index_images(lambda path: path)

    @cached_property
    def _images_by_name(self) -> Mapping[str, list[str]]:
        return self._index_images(lambda path: path.rpartition("/")[2])

    @cached_property
    def _images_by_end(self) -> Mapping[str, list[str]]:
        return self._index_images(_last_two)

    def images_below(self, folder: str) -> tuple[str, ...]:
        """Returns the images in a folder and its subfolders, sorted; all images for ""."""
        if not folder:
            return self.images
        return self.images[bisect.bisect_left(self.images, f"{folder}/") : bisect.bisect_left(self.images, f"{folder}0")]  # "0" follows "/"

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Returns the files whose lower-case names end in one of the suffixes, sorted."""
        return sorted(name for name in self.files if name.lower().endswith(suffixes))

    def image_at(self, path: str) -> str | None:
        """Returns the image at a path, or the only one whose path differs in case or Unicode normalization; None if there is none."""
        same = [path] if path in self.files else self._images_by_path.get(comparable(path), [])
        return same[0] if len(same) == 1 else None

    def image_of_stem(self, name: str) -> str | None:
        """Returns the image that is named like a file beside it, but for the suffix; None if there is none, or several."""
        found = self.image_at(name.rpartition(".")[0])
        return found if found is not None and found.lower().endswith(IMAGE_SUFFIXES) else None

    def find_image(self, name: str, folders: Iterable[str]) -> str | None:
        """Returns the image that an annotation names: in one of `folders`, else the only image of this base name anywhere.

        A name without a suffix matches any image suffix. A name that differs from the name of exactly one image only in case, Unicode
        normalization or kind of slash matches that image. Without a match, returns the name's path in the first of
        `folders`. Returns None for names that could lead outside the folder: absolute paths, "..", and drive letters.
        """
        path = safe_path(name)
        if path is None:
            path = safe_path(name.replace("\\", "/"))
        if path is None:
            return None
        candidates = [f"{folder}/{path}" if folder else path for folder in folders]
        for candidate in candidates:
            if candidate in self.files:
                return candidate
        for candidate in candidates:
            same_path = self._images_by_path.get(comparable(candidate), [])
            if len(same_path) == 1:
                return same_path[0]
        splits = {self.split_of(candidate) for candidate in candidates} - {""}
        same_name = self._images_by_name.get(comparable(path.rpartition("/")[2]), [])
        if splits:  # an image of the same name in the folder of another split is a different image
            same_name = [image for image in same_name if self.split_of(image) in ("", *splits)]
        if len(same_name) > 1 and "/" in path:
            end = comparable(path)
            near = self._images_by_end.get(_last_two(end), [])
            same_name = [image for image in near if f"/{comparable(image)}".endswith((f"/{end}", f"/{end}{Path(image).suffix.lower()}"))]
            same_name = [image for image in same_name if not splits or self.split_of(image) in ("", *splits)]
        return same_name[0] if len(same_name) == 1 else [*candidates, path][0]

    def read_text(self, name: str, max_bytes: int = MAX_BYTES) -> tuple[str, str]:
        """Returns a listed file's text, and its encoding if that is a guess, else "".

        Raises ValueError, with the reason, if it is too large, unreadable or not text.
        """
        if self.files[name][0] > max_bytes:
            raise ValueError(f"the file has {self.files[name][0]:,} bytes; at most {max_bytes:,} are read")
        try:
            with (self.root / name).open("rb") as file:
                start = file.read(2**16)
                without_nul(decode_text(start, partial=True)[0])  # a file that is not text is refused before all of it is read
                return decode_text(start + file.read())
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error

    def head(self, name: str, size: int = 4096) -> str:
        """Returns the first bytes of a listed file as text, with replacement characters; "" if it cannot be read."""
        try:
            with (self.root / name).open("rb") as file:
                return decode_text(file.read(size), partial=True)[0]
        except (OSError, ValueError):
            return ""


def _last_two(path: str) -> str:
    """Returns the last folder and the base name of a path."""
    return "/".join(path.split("/")[-2:])


def comparable(name: str) -> str:
    """Returns a name without the differences that file systems and tools make: case, and composed or decomposed characters."""
    return unicodedata.normalize("NFC", name).casefold()


def list_folder(folder: Path | Listing, *, follow_links: bool = False) -> Listing:
    """Returns the regular files under a folder without hidden ones and folders that imgloc wrote; a listing is returned unchanged.

    `follow_links` also follows links that leave the folder. Raises UserError if the folder does not exist, or if imgloc wrote it.
    """
    if isinstance(folder, Listing):
        return folder
    if not folder.is_dir():
        raise UserError(f"no such folder: '{folder}'; data.options.folder must name a folder of images and their annotations")
    root = Path(os.path.realpath(folder))
    files: dict[str, tuple[int, int]] = {}
    faults: list[Fault] = []
    pending: list[tuple[Path, str, frozenset[str]]] = [(root, "", frozenset([str(root)]))]  # with the real folders above each
    followed = 0
    while pending:
        path, prefix, above = pending.pop()
        try:
            entries = list(os.scandir(path))
        except OSError as error:
            faults.append(Fault("bad_file", prefix or ".", f"the folder cannot be read: {error.strerror}"))
            continue
        kind = _written_by_imgloc({entry.name for entry in entries})
        if kind and not prefix:
            raise UserError(f"'{folder}' is {kind} of imgloc; data.options.folder must name a folder of images and their annotations")
        if kind:
            faults.append(Fault("run_folder", prefix.removesuffix("/"), f"it is {kind} of imgloc"))
            continue
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if _CONTROL_CHARACTERS.search(entry.name):
                faults.append(Fault("bad_annotation", ascii(name), "the file's name is not text"))
                continue
            real = os.path.realpath(entry.path) if entry.is_symlink() else ""
            if real and not follow_links and not Path(real).is_relative_to(root):
                what = "the link leads outside the data's folder and is not followed (data.options.follow_links=True follows it)"
                faults.append(Fault("outside_folder", name, what))
                continue
            with contextlib.suppress(OSError):  # it was deleted meanwhile, or is a link to itself
                if entry.is_dir():
                    real_folder = real or os.path.join(os.path.realpath(path), entry.name)
                    followed += bool(real)
                    if real and followed > MAX_LINKS:
                        faults.append(Fault("outside_folder", name, f"the link is not followed: at most {MAX_LINKS:,} are"))
                    elif real_folder not in above:  # not a folder inside itself
                        pending.append((Path(entry.path), f"{name}/", above | {real_folder}))
                elif entry.is_file():
                    status = entry.stat()
                    files[name] = (status.st_size, status.st_mtime_ns)
    return Listing(root, files, tuple(sorted(faults, key=lambda fault: fault.where)))


def _written_by_imgloc(names: Set[str]) -> str:
    """Returns what a folder with these files is, if imgloc has written it: its pictures are results; "" otherwise."""
    return next((kind for kind, marks in WRITTEN.items() if marks <= names), "")


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
