"""WIDER FACE: wider_face_train_bbx_gt.txt and wider_face_val_bbx_gt.txt (Yang et al., 2016, arXiv:1511.06523;
http://shuoyang1213.me/WIDERFACE/).

A file has, for each image, a line with its path in `images/`, a line with the number of its faces, and a line for each face: left, top,
width, height in pixels, then blur, expression, illumination, invalid, occlusion and pose. An image without a face has the number 0 and
one line of zeros. The single class is `face`. Faces that are marked as invalid are left out. The name of the file gives the split.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from imgloc import boxes as box_arithmetic
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import IMAGE_SUFFIXES, Listing, list_folder, parent_folders
from imgloc.data.annotated.splits import split_of_name

SUFFIX = "_bbx_gt.txt"
CLASS = "face"
INVALID = 7  # the column of the mark


def recognise(folder: Path | Listing) -> bool:
    """Returns whether there is a file `NAME_bbx_gt.txt` that begins with the name of an image."""
    listing = list_folder(folder)
    return any(_names_image(listing.head(name).partition("\n")[0]) for name in listing.with_suffix(SUFFIX))


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all files `NAME_bbx_gt.txt` of a folder; boxes are in pixels with continuous edges.

    Raises UserError if the folder does not exist, and for a convention other than edges.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries: list[Annotation] = []
    for name in listing.with_suffix(SUFFIX):
        entries += _read_file(assemble.read_text(name, listing, faults), name, listing, faults)
    classes = [CLASS] if any(entry.names for entry in entries) else []
    return assemble.merge_annotations("wider_face", classes, entries, faults, meaning="xywh")


def _names_image(line: str) -> bool:
    return line.strip().lower().endswith(IMAGE_SUFFIXES)


def _blocks(text: str, name: str, faults: list[Fault]) -> Iterator[tuple[int, str, list[tuple[int, str]]]]:
    """Yields the line number, the path, and the numbered further lines of each image."""
    block: tuple[int, str, list[tuple[int, str]]] | None = None
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if _names_image(line):
            if block is not None:
                yield block
            block = (number, line, [])
        elif block is not None and line:
            block[2].append((number, line))
        elif line:
            faults.append(Fault("bad_annotation", f"{name}:{number}", f"{assemble.quoted(line)} is not the name of an image"))
    if block is not None:
        yield block


def _read_file(text: str, name: str, listing: Listing, faults: list[Fault]) -> list[Annotation]:
    """Returns the annotations of one file."""
    split = split_of_name(name.rpartition("/")[2])
    archive = {"train": "WIDER_train", "validation": "WIDER_val", "test": "WIDER_test"}.get(split, "")
    below = [f"{archive}/images", "images", archive, ""]
    folders = [f"{parent}/{folder}".strip("/") for parent in parent_folders(name) for folder in below]
    entries = []
    ignored: list[str] = []
    for first, path, lines in _blocks(text, name, faults):
        where = f"{name}:{first}"
        file = listing.find_image(path, folders)
        if file is None:
            faults.append(assemble.outside_fault(where, path))
            continue
        count = lines[0][1] if lines else ""
        if not (count.isascii() and count.isdigit()):
            faults.append(Fault("bad_annotation", where, f"after the name is {assemble.quoted(count)}, expected a number of faces"))
            continue
        faces = lines[1:]
        if len(faces) != int(count[:9]) and not (int(count[:9]) == 0 and len(faces) == 1):
            what = f"{len(faces):,} lines of faces follow, expected {assemble.quoted(count)}"
            faults.append(Fault("bad_annotation", where, what))
        boxes = []
        for number, line in faces if int(count[:9]) else []:
            try:
                box, invalid = _face(line)
            except ValueError as error:
                faults.append(Fault("bad_annotation", f"{name}:{number}", str(error)))
                continue
            if invalid:
                ignored.append(f"{name}:{number}")
            else:
                boxes.append(box)
        boxes_nx4 = box_arithmetic.from_coco_xywh(assemble.box_array(boxes))
        entries.append(Annotation(file, boxes_nx4, (CLASS,) * len(boxes), split=split or listing.split_of(file), where=where))
    if ignored:
        faults.append(Fault("ignored_box", ignored[0], f"{len(ignored):,} faces are marked as invalid"))
    return entries


def _face(line: str) -> tuple[list[float], bool]:
    """Returns left, top, width and height of a face, and whether it is marked as invalid."""
    words = line.split()
    if len(words) != 10:
        raise ValueError(f"the line has {len(words)} numbers; a face has 10")
    numbers = [assemble.parse_number(word) for word in words]
    return numbers[:4], numbers[INVALID] == 1
