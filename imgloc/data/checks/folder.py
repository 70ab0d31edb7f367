"""What is wrong with a folder of annotated images, file by file: see `imgloc.data.checks.faults` for the kinds and what they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import Listing
from imgloc.data.checks import boxes as check_boxes
from imgloc.data.checks import classes as check_classes
from imgloc.data.checks import images as check_images
from imgloc.data.checks.faults import KINDS
from imgloc.data.checks.images import Look

MOST_COMPARED = 2_000  # files whose bytes are, there
MOST_HEADERS = 20_000  # image files whose headers are read where a check is to be quick


@dataclass(frozen=True)
class Findings:
    """The faults of a data set, in the order in which a person would mend them, and what was looked at."""

    faults: tuple[Fault, ...]
    images: int
    looked_at: int  # of the images: fewer where a quick check passed over some

    @property
    def serious(self) -> tuple[Fault, ...]:
        """Those with which training or its score would go wrong."""
        return tuple(fault for fault in self.faults if KINDS[fault.kind].serious)


def check_folder(
    annotated: Annotated, listing: Listing, parts: Mapping[str, str], *, convention: str = "", thorough: bool = True
) -> Findings:
    """The faults of a folder. `parts`: the split of each image file that is in one; `convention`: the one it was read with.

    Thorough, every image is decoded, and those of the same pixels are found. Else only headers are read, of at most MOST_HEADERS
    images evenly over the data set, and of files of equal size in two splits MOST_COMPARED are compared: enough to say at each start
    of a training what would go wrong with its boxes and files.
    """
    there = [entry.file for entry in annotated.images if entry.file in listing.files]
    step = 1 if thorough else -(-len(there) // MOST_HEADERS) or 1
    looks = check_images.look_at(listing.root, there[::step], thorough=thorough)
    files = {file: listing.files[file][0] for file in there}
    found = [
        *annotated.faults,
        *([] if thorough else check_images.same_files(listing.root, files, parts, MOST_COMPARED)),
        *_files(annotated, listing, parts),
        *check_images.faults(annotated.images, looks, parts),
        *check_boxes.faults(annotated, sizes(annotated.images, looks), listing, convention),
        *check_classes.faults(annotated),
    ]
    return Findings(in_order(found), len(annotated.images), len(annotated.images) - len(there) + len(looks))


def in_order(found: Iterable[Fault]) -> tuple[Fault, ...]:
    """Faults, each once, kind by kind as `KINDS` has them."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    return tuple(sorted(dict.fromkeys(found), key=lambda fault: order[fault.kind]))


def _files(annotated: Annotated, listing: Listing, parts: Mapping[str, str]) -> list[Fault]:
    """Images without annotation, annotations without image, images without boxes, and groups in two splits."""
    found = []
    boxed = any(len(entry.boxes_nx4) for entry in annotated.images)
    groups: dict[str, Annotation] = {}
    for entry in annotated.images:
        where = entry.where or entry.file
        if entry.file not in listing.files:
            found.append(Fault("missing_image", where, f"there is no image file '{entry.file}'"))
        if boxed and not len(entry.boxes_nx4):
            without = "no box" if entry.label else "neither box nor class: it is left out"
            found.append(Fault("unboxed_image", where, f"'{entry.file}' has {without}"))
        if entry.group and entry.file in parts:
            first = groups.setdefault(entry.group, entry)
            if parts[first.file] != parts[entry.file]:
                what = f"of group '{entry.group}' like {first.file}, but in {parts[entry.file]}, not {parts[first.file]}"
                found.append(Fault("shared_group", entry.file, what))
    annotated_files = {entry.file for entry in annotated.images}
    found += [Fault("unannotated_image", name, "no annotation names it") for name in listing.images if name not in annotated_files]
    return found


def sizes(entries: Sequence[Annotation], looks: Mapping[str, Look]) -> list[tuple[int, int]]:
    """The width and height that each annotation's pixels are of: as annotated, else of the upright picture; (0, 0): not known."""
    found = []
    for entry in entries:
        look = looks.get(entry.file)
        if entry.width and entry.height:
            found.append((entry.width, entry.height))
        else:
            found.append(look.upright if look is not None and not look.problem else (0, 0))
    return found
