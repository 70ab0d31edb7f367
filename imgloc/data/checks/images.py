"""What is wrong with image files, alone, beside their annotations and beside one another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from imgloc.data.annotated.annotations import Annotation, Fault
from imgloc.data.images import decode
from imgloc.data.images.headers import read_file, read_file_header
from imgloc.errors import UnreadableImage, UserError
from imgloc.types import Uint8Array


@dataclass(frozen=True)
class Look:
    """What was seen of an image file."""

    width: int = 0  # as stored
    height: int = 0
    orientation: int = 1
    digest: str = ""  # of its upright pixels; "": they were not decoded
    problem: str = ""  # why it cannot be read

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as EXIF's orientation shows it."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def look_at(root: Path, names: Sequence[str], *, thorough: bool) -> dict[str, Look]:
    """A look at each of these files under `root`, on all cores: at all of its pixels, or at its header only."""

    def look(name: str) -> Look:
        return _decoded(root, name) if thorough else _header(root, name)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(names, pool.map(look, names), strict=True))


def _header(root: Path, name: str) -> Look:
    try:
        picture = read_file_header(root, name)
    except UnreadableImage as error:
        return Look(problem=str(error).removeprefix(f"{name}: "))
    return Look(picture.width, picture.height, picture.orientation)


def _decoded(root: Path, name: str) -> Look:
    try:
        picture = decode.decode_image(read_file(root, name))
    except UnreadableImage as error:
        return Look(problem=str(error).removeprefix(f"{name}: "))
    except UserError as error:
        return Look(problem=str(error))
    return Look(picture.width, picture.height, picture.orientation, digest(picture.pixels_hxwxc))


def digest(image_hxwxc: Uint8Array) -> str:
    """What tells the pixels and the shape of an image from any other's, however its file is written."""
    state = hashlib.blake2b(repr(image_hxwxc.shape).encode(), digest_size=20)
    state.update(image_hxwxc.data if image_hxwxc.flags.c_contiguous else image_hxwxc.tobytes())
    return state.hexdigest()


def faults(entries: Sequence[Annotation], looks: Mapping[str, Look], parts: Mapping[str, str]) -> list[Fault]:
    """Unreadable images, sizes that are not as annotated, orientations, and the same pixels twice. `parts`: the split of each file."""
    found = []
    for entry in entries:
        look = looks.get(entry.file)
        if look is None:
            continue
        if look.problem:
            found.append(Fault("unreadable_image", entry.file, look.problem))
            continue
        stored, said = (look.width, look.height), (entry.width, entry.height)
        if all(said) and said not in (stored, look.upright):
            what = f"'{entry.file}' is annotated as {said[0]} x {said[1]}, and has {stored[0]} x {stored[1]} pixels"
            found.append(Fault("size_mismatch", entry.where or entry.file, what))
        if look.orientation != 1:
            shown = f", {stored[0]} x {stored[1]} as stored, {look.upright[0]} x {look.upright[1]} as shown"
            turned = "" if look.upright == stored else shown
            found.append(Fault("exif_rotation", entry.file, f"EXIF orientation {look.orientation}{turned}{_taken(entry, look)}"))
    split = [entry.file for entry in entries if entry.file in looks and entry.file in parts]
    return found + same_pixels([(file, file, parts[file], looks[file].digest) for file in split])


def same_files(root: Path, sizes: Mapping[str, int], parts: Mapping[str, str], most: int) -> list[Fault]:
    """Files of the same bytes in two splits, without decoding any: of those of equal `sizes` in different splits, `most` are read."""
    by_size: dict[int, list[str]] = {}
    for file in parts:
        if file in sizes:
            by_size.setdefault(sizes[file], []).append(file)
    suspects = [file for files in by_size.values() if len({parts[file] for file in files}) > 1 for file in files][:most]

    def digest_of_file(name: str) -> str:
        try:
            return hashlib.blake2b(read_file(root, name), digest_size=20).hexdigest()
        except UnreadableImage:  # told where it is looked at
            return ""

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        digests = list(pool.map(digest_of_file, suspects))
    found = same_pixels([(file, file, parts[file], bytes_) for file, bytes_ in zip(suspects, digests, strict=True)])
    return [fault for fault in found if fault.kind == "duplicate_image"]


def _taken(entry: Annotation, look: Look) -> str:
    said, stored = (entry.width, entry.height), (look.width, look.height)
    if look.upright == stored or said not in (stored, look.upright):
        return ""
    return "; by the annotated size, boxes are taken as of the " + ("stored one" if said == stored else "one shown")


def same_pixels(images: Sequence[tuple[str, str, str, str]]) -> list[Fault]:
    """Images (where, name, split, digest) of the same pixels as one before them, in another split or in their own."""
    found = []
    first: dict[str, dict[str, str]] = {}  # by digest: the first image of each split
    for where, name, split, pixels in images:
        if not pixels:
            continue
        seen = first.setdefault(pixels, {})
        others = [f"{other} in {part}" for part, other in seen.items() if part != split]
        if others:
            found.append(Fault("duplicate_image", where, f"in {split}: the same pixels as {' and '.join(others)}"))
        elif split in seen:
            found.append(Fault("repeated_image", where, f"in {split}: the same pixels as {seen[split]}"))
        seen.setdefault(split, name)
    return found
