"""MOTChallenge: a folder for each sequence, with its frames in img1/ and their boxes in gt/gt.txt
(Leal-Taixe et al., 2015, arXiv:1504.01942; Milan et al., 2016, arXiv:1603.00831, section 3).

A line of gt.txt is: frame, identity, left, top, width, height, flag, class, visibility. Frames and pixels count from 1. Boxes with the
flag 0 are left out. Classes are those of MOT16, MOT17 and MOT20; without a class, as in MOT15, every box is a pedestrian. CVAT and
Datumaro write other classes as the lines of gt/labels.txt, and pixels that count from 0. `seqinfo.ini`, where it exists, names the
folder of the frames and their size. All frames of a sequence are one group, so that no split tears it apart; so are the copies of a
sequence for several detectors (MOT17-02-DPM, MOT17-02-SDP).
A folder that only has det/det.txt, the output of a detector, is refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from imgloc import boxes as box_arithmetic
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, safe_path

TRUTH, DETECTIONS, INFO, LABELS, FRAMES = "gt/gt.txt", "det/det.txt", "seqinfo.ini", "gt/labels.txt", "img1"
CLASSES = (
    "pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non-motorized vehicle", "static person", "distractor", "occluder",
    "occluder on the ground", "occluder full", "reflection", "crowd",
)  # fmt: skip
CONVENTIONS = {"edges_from_1": 1.0, "edges": 0.0}  # the number of the first pixel
LINE = re.compile(r"\s*[0-9]+(\s*,\s*-?[0-9.]+([eE][-+]?[0-9]+)?){5,}\s*(\n|$)")
DETECTOR = re.compile(r"-(DPM|FRCNN|SDP)$")
ONLY_DETECTIONS = "it has the predictions of a detector, not the true boxes, and no sequence has gt/gt.txt"
MAX_FRAME = 10**7


def recognise(folder: Path | Listing) -> bool:
    """Returns whether a sequence has gt/gt.txt, or det/det.txt, with lines of MOTChallenge."""
    listing = list_folder(folder)
    return any(LINE.match(listing.head(sequence + name)) for name in (TRUTH, DETECTIONS) for sequence in _sequences(listing, name))


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all sequences that have gt/gt.txt, and all of their frames; boxes are in pixels, classes in the order of their numbers.

    `convention` is edges_from_1, edges for pixels that count from 0, or "": edges for sequences with gt/labels.txt, else edges_from_1.
    Raises UserError if the folder does not exist, and for an unknown convention.
    """
    chosen = assemble.choose_convention(convention, CONVENTIONS)
    listing = list_folder(folder)
    faults = list(listing.faults)
    sequences = _sequences(listing, TRUTH)
    if not sequences:
        faults += [Fault("foreign_format", sequence + DETECTIONS, ONLY_DETECTIONS) for sequence in _sequences(listing, DETECTIONS)[:1]]
    entries: list[Annotation] = []
    classes: dict[str, int] = {}  # with their numbers
    for sequence in sequences:
        names = _class_names(sequence, listing, faults)
        first_pixel = chosen if convention or sequence + LABELS not in listing.files else 0.0
        of_sequence = _read_sequence(sequence, listing, names, first_pixel, faults)
        entries += of_sequence
        used = {label for entry in of_sequence for label in entry.names}
        for number, label in names.items():
            if label in used:
                classes.setdefault(label, number)
    ordered = sorted(classes, key=lambda label: (classes[label], label))
    return assemble.merge_annotations("mot", ordered, entries, faults, meaning="xywh")


def _sequences(listing: Listing, file: str) -> list[str]:
    """Returns the folders, ending in "/" or "" for the data's folder, that have a file."""
    return [name.removesuffix(file) for name in listing.with_suffix(file) if name == file or name.endswith(f"/{file}")]


def _class_names(sequence: str, listing: Listing, faults: list[Fault]) -> dict[int, str]:
    """Returns class names by number."""
    if sequence + LABELS not in listing.files:
        return {-1: CLASSES[0], **dict(enumerate(CLASSES, start=1))}
    names = {}
    for number, line in enumerate(assemble.read_text(sequence + LABELS, listing, faults).splitlines(), start=1):
        try:
            names[number] = assemble.parse_class_name(line)
        except ValueError as error:
            faults.append(Fault("bad_annotation", f"{sequence}{LABELS}:{number}", str(error)))
    return names


def _read_info(sequence: str, listing: Listing, faults: list[Fault]) -> Mapping[str, str]:
    """Returns the values of seqinfo.ini by key in lower case."""
    if sequence + INFO not in listing.files:
        return {}
    pairs = [line.partition("=") for line in assemble.read_text(sequence + INFO, listing, faults).splitlines()]
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _read_sequence(sequence: str, listing: Listing, names: Mapping[int, str], first_pixel: float, faults: list[Fault]) -> list[Annotation]:
    """Returns the annotations of all frames of a sequence; frames without a line have no box."""
    info = _read_info(sequence, listing, faults)
    below = sequence + (safe_path(info.get("imdir", "")) or FRAMES)
    files: dict[int, str] = {}
    for image in listing.images_below(below):
        digits = re.search(r"([0-9]+)\.[^.]*$", image)
        if digits and len(digits[1]) < 10:
            files.setdefault(int(digits[1]), image)
    boxes: defaultdict[int, list[list[float]]] = defaultdict(list)
    labels: defaultdict[int, list[str]] = defaultdict(list)
    where: dict[int, str] = {}
    ignored: list[str] = []
    for number, line in enumerate(assemble.read_text(sequence + TRUTH, listing, faults).splitlines(), start=1):
        place = f"{sequence}{TRUTH}:{number}"
        if not line.strip():
            continue
        try:
            frame, box, flag, label = _parse_line(line)
        except ValueError as error:
            faults.append(Fault("bad_annotation", place, str(error)))
            continue
        where.setdefault(frame, place)
        if flag == 0:
            ignored.append(place)
            continue
        if label not in names:
            faults.append(Fault("unknown_class", place, f"class {label} has no name; possible: {', '.join(map(str, names))}"))
        boxes[frame].append([box[0] - first_pixel, box[1] - first_pixel, *box[2:]])
        labels[frame].append(names.get(label, ""))
    if ignored:
        faults.append(Fault("ignored_box", ignored[0], f"{len(ignored):,} boxes have the flag 0"))
    size = assemble.parse_side(info.get("imwidth")), assemble.parse_side(info.get("imheight"))
    name = DETECTOR.sub("", sequence.rstrip("/")) or "sequence"
    return [
        Annotation(
            files.get(frame, f"{below}/{frame:06d}.jpg"), box_arithmetic.from_coco_xywh(assemble.box_array(boxes[frame])),
            tuple(labels[frame]), width=size[0], height=size[1], split=listing.split_of(sequence + TRUTH), group=name,
            where=where.get(frame, sequence + TRUTH),
        )
        for frame in sorted({*files, *where})
    ]  # fmt: skip


def _parse_line(line: str) -> tuple[int, list[float], float, int]:
    """Returns the frame, left, top, width and height, the flag, and the class of a line."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) < 9:
        raise ValueError(f"the line has {len(cells)} numbers; a box has 9")
    numbers = [assemble.parse_number(cell) for cell in cells[:8]]
    frame, label = numbers[0], numbers[7]
    if frame != int(frame) or not 0 < frame < MAX_FRAME:
        raise ValueError(f"{assemble.quoted(cells[0])} is not the number of a frame; the first is 1")
    if label != int(label):
        raise ValueError(f"{assemble.quoted(cells[7])} is not the number of a class")
    return int(frame), numbers[2:6], numbers[6], int(label)
