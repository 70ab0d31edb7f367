"""The metadata of wsolevaluation (Choe et al., 2020, arXiv:2001.07437; https://github.com/clovaai/wsolevaluation).

A folder a split (train, val, test; train-weaksup, train-fullsup) with image_ids.txt, class_labels.txt (id,class number),
image_sizes.txt (id,width,height) and localization.txt (id,x0,y0,x1,y1 in pixels of the original size, a line a box). Open Images
has masks there instead (id,mask,ignore mask): its images have a label and no box.
"""

from __future__ import annotations

from pathlib import Path

from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import Listing, folders_of, list_folder, split_of_name

IDS, LABELS, SIZES, BOXES = "image_ids.txt", "class_labels.txt", "image_sizes.txt", "localization.txt"


def recognise(folder: Path | Listing) -> bool:
    """Whether a folder has the two files that every split has."""
    return bool(_splits(list_folder(folder)))


def read(folder: Path | Listing, *, convention: str = "") -> Annotated:
    """All splits of a folder; boxes in pixels, with continuous edges. A class is called by its number.

    `convention` says what the numbers mean: inclusive_from_1, inclusive_from_0 or edges ("" too, as the benchmark scales them).
    Raises UserError for no such folder.
    """
    assemble.from_convention(assemble.box_array([]), convention or "edges")
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries: list[Annotation] = []
    for place in _splits(listing):
        entries += _split(place, listing, convention or "edges", faults)
    numbers = sorted({int(entry.label) for entry in entries if entry.label})
    return assemble.assembled("wsol", map(str, numbers), entries, faults)


def _splits(listing: Listing) -> list[str]:
    """The folders, with a "/" behind, that have a split's files."""
    ends = [name.removesuffix(IDS) for name in listing.ending(IDS) if name.rpartition("/")[2] == IDS]
    return [place for place in ends if place + LABELS in listing.files]


def _lines(name: str, listing: Listing, columns: int, faults: list[Fault]) -> list[tuple[str, list[str]]]:
    """Where each line stands, and its cells; lines of another number of them are faults."""
    if name not in listing.files:
        return []
    try:
        lines = listing.read_text(name).splitlines()
    except ValueError as error:
        faults.append(Fault("bad_annotation", name, str(error)))
        return []
    found = []
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == columns:
            found.append((f"{name}:{number}", cells))
        elif line.strip():
            faults.append(Fault("bad_annotation", f"{name}:{number}", f"it has {len(cells)} columns, not {columns}"))
    return found


def _split(place: str, listing: Listing, convention: str, faults: list[Fault]) -> list[Annotation]:
    """The annotations of one split's folder."""
    near = list(folders_of(place + IDS)) + [f"{above}/images".strip("/") for above in folders_of(place + IDS)]
    labels: dict[str, str] = {}
    for where, (image, label) in _lines(place + LABELS, listing, 2, faults):
        if label.isascii() and label.isdigit() and len(label) < 10:
            labels[image] = str(int(label))
        else:
            faults.append(Fault("bad_annotation", where, f"{assemble.brief(label)} is no number of a class"))
    sizes = {
        image: (assemble.side(width), assemble.side(height))
        for _, (image, width, height) in _lines(place + SIZES, listing, 3, faults)
    }  # fmt: skip
    boxes: dict[str, list[list[float]]] = {}
    masks = listing.head(place + BOXES).split("\n", maxsplit=1)[0].count(",") == 2 if place + BOXES in listing.files else True
    for where, (image, *values) in () if masks else _lines(place + BOXES, listing, 5, faults):
        try:
            boxes.setdefault(image, []).append([assemble.number(value) for value in values])
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, str(error)))
    entries = []
    listed = _lines(place + IDS, listing, 1, faults)
    for where, (image,) in listed:
        file = listing.find(image, near)
        if file is None:
            faults.append(Fault("outside_folder", where, f"{assemble.brief(image)} is no file of the data's folder"))
            continue
        if image not in labels:
            faults.append(Fault("bad_annotation", where, f"{assemble.brief(image)} has no line in {LABELS}"))
        entries.append(
            Annotation(
                file=file,
                boxes_nx4=assemble.from_convention(assemble.box_array(boxes.get(image, [])), convention),
                names=(labels.get(image, ""),) * len(boxes.get(image, [])),
                label=labels.get(image, ""),
                width=sizes.get(image, (0, 0))[0],
                height=sizes.get(image, (0, 0))[1],
                split=split_of_name(place.rstrip("/").rpartition("/")[2]),
                where=where,
            )
        )
    spare = sorted((set(boxes) | set(labels)) - {image for _, (image,) in listed})
    faults += [Fault("bad_annotation", place + IDS, f"{assemble.brief(image)} is annotated and not listed") for image in spare]
    return entries
