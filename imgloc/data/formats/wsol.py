"""The metadata of wsolevaluation (Choe et al., 2020, arXiv:2001.07437; https://github.com/clovaai/wsolevaluation).

Each split (train, val, test; train-weaksup, train-fullsup) is a folder with image_ids.txt, class_labels.txt (id,class number),
image_sizes.txt (id,width,height) and localization.txt (id,x0,y0,x1,y1 in pixels of the original size, one line for each box).
For Open Images localization.txt lists masks (id,mask,ignore mask) instead: its images have a label and no box.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, parent_folders
from imgloc.data.annotated.splits import split_of_name

IDS, LABELS, SIZES, BOXES = "image_ids.txt", "class_labels.txt", "image_sizes.txt", "localization.txt"


def recognise(folder: Path | Listing) -> bool:
    """Returns whether a folder has the two files that every split has."""
    return bool(_split_folders(list_folder(folder)))


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all splits of a folder; boxes are in pixels with continuous edges. The name of a class is its number.

    `convention` is the meaning of pixel numbers: inclusive_from_1, inclusive_from_0, edges_from_1 or edges (also "", as the benchmark
    scales them). Raises UserError if the folder does not exist, and for an unknown convention.
    """
    assemble.from_convention(assemble.box_array([]), convention or "edges")
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries: list[Annotation] = []
    for prefix in _split_folders(listing):
        entries += _read_split(prefix, listing, convention or "edges", faults)
    numbers = sorted({int(entry.label) for entry in entries if entry.label})
    return assemble.merge_annotations("wsol", map(str, numbers), entries, faults)


def _split_folders(listing: Listing) -> list[str]:
    """Returns the folders, ending in "/", that have a split's files."""
    prefixes = [name.removesuffix(IDS) for name in listing.with_suffix(IDS) if name.rpartition("/")[2] == IDS]
    return [prefix for prefix in prefixes if prefix + LABELS in listing.files]


def _rows(name: str, listing: Listing, columns: int, faults: list[Fault]) -> list[tuple[str, list[str]]]:
    """Returns the location and the cells of each line; lines with another number of cells become faults."""
    if name not in listing.files:
        return []
    rows = []
    for number, line in enumerate(assemble.read_text(name, listing, faults).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == columns:
            rows.append((f"{name}:{number}", cells))
        elif line.strip():
            faults.append(Fault("bad_annotation", f"{name}:{number}", f"the line has {len(cells)} columns, expected {columns}"))
    return rows


def _read_split(prefix: str, listing: Listing, convention: str, faults: list[Fault]) -> list[Annotation]:
    """Returns the annotations of one split's folder."""
    parents = list(parent_folders(prefix + IDS))
    folders = parents + [f"{parent}/images".strip("/") for parent in parents]
    split = split_of_name(prefix.rstrip("/").rpartition("/")[2])
    labels: dict[str, str] = {}
    for where, (image, label) in _rows(prefix + LABELS, listing, 2, faults):
        if label.isascii() and label.isdigit() and len(label) < 10:
            labels[image] = str(int(label))
        else:
            faults.append(Fault("bad_annotation", where, f"{assemble.quoted(label)} is not a class number"))
    sizes = {
        image: (assemble.parse_side(width), assemble.parse_side(height))
        for _, (image, width, height) in _rows(prefix + SIZES, listing, 3, faults)
    }  # fmt: skip
    boxes: defaultdict[str, list[list[float]]] = defaultdict(list)
    has_boxes = prefix + BOXES in listing.files and listing.head(prefix + BOXES).split("\n", maxsplit=1)[0].count(",") != 2
    for where, (image, *values) in _rows(prefix + BOXES, listing, 5, faults) if has_boxes else ():
        try:
            boxes[image].append([assemble.parse_number(value) for value in values])
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, str(error)))
    entries = []
    listed = _rows(prefix + IDS, listing, 1, faults)
    unlisted = sorted((set(boxes) | set(labels)) - {image for _, (image,) in listed})
    for where, (image,) in listed:
        file = listing.find_image(image, folders)
        if file is None:
            faults.append(assemble.outside_fault(where, image))
            continue
        if image not in labels:
            faults.append(Fault("bad_annotation", where, f"{assemble.quoted(image)} has no line in {LABELS}"))
        label, (width, height) = labels.get(image, ""), sizes.get(image, (0, 0))
        boxes_nx4 = assemble.from_convention(assemble.box_array(boxes[image]), convention)
        names = (label,) * len(boxes_nx4)
        entries.append(Annotation(file, boxes_nx4, names, label, width=width, height=height, split=split, where=where))
    faults += [Fault("bad_annotation", prefix + IDS, f"{assemble.quoted(image)} is annotated and not listed") for image in unlisted]
    return entries
