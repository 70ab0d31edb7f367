"""Faults of image files: unreadable ones, disagreement with their annotations, and duplicates."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from imgloc.data.annotated.annotations import Annotation, Fault
from imgloc.data.images.decode import decode_image
from imgloc.data.images.headers import read_file, read_file_header
from imgloc.errors import UnreadableImage, UserError
from imgloc.types import Uint8Array


@dataclass(frozen=True)
class ImageInfo:
    """Size, orientation and pixel hash of an image file, or the reason why it cannot be read."""

    width: int = 0  # as stored
    height: int = 0
    orientation: int = 1
    digest: str = ""  # of its upright pixels; "": they were not decoded
    problem: str = ""  # why it cannot be read

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) after EXIF's orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


class ImageHash(NamedTuple):
    """The hash of one image of a split, for finding duplicates."""

    where: str
    name: str
    split: str
    digest: str  # "": unknown


def inspect_files(root: Path, names: Sequence[str], *, thorough: bool) -> dict[str, ImageInfo]:
    """Reads files under `root` in parallel: all of their pixels if `thorough`, else their headers."""

    def inspect(name: str) -> ImageInfo:
        try:
            picture = decode_image(read_file(root, name)) if thorough else read_file_header(root, name)
        except (UnreadableImage, UserError) as error:
            return ImageInfo(problem=str(error).removeprefix(f"{name}: "))
        return ImageInfo(picture.width, picture.height, picture.orientation, pixel_digest(picture.pixels_hxwxc) if thorough else "")

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(names, pool.map(inspect, names), strict=True))


def pixel_digest(image_hxwxc: Uint8Array) -> str:
    """Returns a hash of an image's pixels and shape, which does not depend on its file format."""
    state = hashlib.blake2b(repr(image_hxwxc.shape).encode(), digest_size=20)
    state.update(image_hxwxc.data if image_hxwxc.flags.c_contiguous else image_hxwxc.tobytes())
    return state.hexdigest()


def find_faults(entries: Sequence[Annotation], infos: Mapping[str, ImageInfo], parts: Mapping[str, str]) -> list[Fault]:
    """Returns faults for unreadable images, wrong annotated sizes, orientations and duplicates. `parts` maps files to splits."""
    faults = []
    for entry in entries:
        info = infos.get(entry.file)
        if info is None:
            continue
        if info.problem:
            faults.append(Fault("unreadable_image", entry.file, info.problem))
            continue
        stored, annotated = (info.width, info.height), (entry.width, entry.height)
        if all(annotated) and annotated not in (stored, info.upright):
            what = f"'{entry.file}' is annotated as {annotated[0]} x {annotated[1]}, but has {stored[0]} x {stored[1]} pixels"
            faults.append(Fault("size_mismatch", entry.where or entry.file, what))
        if info.orientation != 1:
            what = f"EXIF orientation {info.orientation}"
            if info.upright != stored:
                what += f", {stored[0]} x {stored[1]} as stored, {info.upright[0]} x {info.upright[1]} upright"
                if annotated in (stored, info.upright):
                    what += f"; by the annotated size, boxes refer to the {'stored' if annotated == stored else 'upright'} picture"
            faults.append(Fault("exif_rotation", entry.file, what))
    files = [entry.file for entry in entries if entry.file in infos and entry.file in parts]
    return faults + find_duplicates([ImageHash(file, file, parts[file], infos[file].digest) for file in files])


def find_equal_files(root: Path, sizes: Mapping[str, int], parts: Mapping[str, str], max_files: int) -> list[Fault]:
    """Returns faults for files of the same bytes in two splits, without decoding.

    Of the files that have equal `sizes` and are in different splits, the first `max_files` are read.
    """
    by_size: defaultdict[int, list[str]] = defaultdict(list)
    for file in parts:
        if file in sizes:
            by_size[sizes[file]].append(file)
    suspects = [file for files in by_size.values() if len({parts[file] for file in files}) > 1 for file in files][:max_files]

    def file_hash(name: str) -> ImageHash:
        try:
            digest = hashlib.blake2b(read_file(root, name), digest_size=20).hexdigest()
        except UnreadableImage:  # `find_faults` reports it
            digest = ""
        return ImageHash(name, name, parts[name], digest)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        faults = find_duplicates(list(pool.map(file_hash, suspects)))
    return [fault for fault in faults if fault.kind == "duplicate_image"]


def find_duplicates(images: Sequence[ImageHash]) -> list[Fault]:
    """Returns a fault for each image whose hash equals that of an earlier one, in another split or in its own."""
    faults = []
    first: defaultdict[str, dict[str, str]] = defaultdict(dict)  # by hash: the first image of each split
    for where, name, split, digest in images:
        if not digest:
            continue
        by_split = first[digest]
        others = [f"{other} in {part}" for part, other in by_split.items() if part != split]
        if others:
            faults.append(Fault("duplicate_image", where, f"in {split}: the same pixels as {' and '.join(others)}"))
        elif split in by_split:
            faults.append(Fault("repeated_image", where, f"in {split}: the same pixels as {by_split[split]}"))
        by_split.setdefault(split, name)
    return faults
