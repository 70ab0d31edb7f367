"""Faults of a folder of annotated images, file by file; `imgloc.data.checks.faults` lists the kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing
from imgloc.data.checks import boxes, classes, images
from imgloc.data.checks.faults import KINDS
from imgloc.data.checks.images import ImageInfo

MAX_COMPARED = 2_000  # files whose bytes a fast check compares
MAX_HEADERS = 20_000  # image files whose headers a fast check reads


@dataclass(frozen=True)
class Findings:
    """The faults of a data set, in the order in which they are best repaired."""

    faults: tuple[Fault, ...]
    images: int
    looked_at: int  # images that were checked: a fast check may skip some
    boxes: int = 0  # as read
    several: int = 0  # images with more than one box
    recognised: str = ""  # the format, the splits and the classes, in one line

    @property
    def serious(self) -> tuple[Fault, ...]:
        """The faults that affect training or its metrics."""
        return tuple(fault for fault in self.faults if KINDS[fault.kind].serious)

    @property
    def left_out(self) -> tuple[Fault, ...]:
        """The serious faults whose part of the data training leaves out or clips; the others make training or its metrics wrong."""
        return tuple(fault for fault in self.serious if KINDS[fault.kind].left_out)

    @property
    def unusable(self) -> tuple[float, Fault | None]:
        """The share of annotated images or of boxes that cannot be used, the higher one, and the first fault of the kind behind it."""
        shares: list[tuple[float, Fault | None]] = [(0.0, None)]
        counts = Counter(fault.kind for fault in self.faults)
        bad_lines = counts["bad_annotation"]  # which are not among the boxes
        totals = {"image": self.images, "box": self.boxes + bad_lines, "data": 1}
        for part, total in totals.items():
            of_part = [fault for fault in self.faults if KINDS[fault.kind].unusable == part]
            if of_part:
                kind = Counter(fault.kind for fault in of_part).most_common(1)[0][0]
                shares.append((min(1.0, len(of_part) / max(1, total)), next(fault for fault in of_part if fault.kind == kind)))
        return max(shares, key=lambda share: share[0])


def check_folder(
    annotated: AnnotatedFolder, listing: Listing, parts: Mapping[str, str], *, convention: str = "", thorough: bool = True
) -> Findings:
    """Returns the faults of a folder. `parts` maps image files to their splits; `convention` is the one used for reading.

    A thorough check decodes every image and compares their pixels. A fast check, for the start of each training run, reads the
    headers of at most MAX_HEADERS images, evenly spaced over the data set, and compares the bytes of at most MAX_COMPARED files
    that have equal sizes and are in different splits.
    """
    sizes = {entry.file: status[0] for entry in annotated.images if (status := listing.status(entry.file))}
    files = list(sizes)
    step = 1 if thorough else -(-len(files) // MAX_HEADERS) or 1
    infos = images.inspect_files(listing.root, files[::step], thorough=thorough)
    faults = [
        *annotated.faults,
        *([] if thorough else images.find_equal_files(listing.root, sizes, parts, MAX_COMPARED)),
        *_file_faults(annotated, listing, parts),
        *images.find_faults(annotated.images, infos, parts),
        *boxes.find_faults(annotated, _image_sizes(annotated.images, infos), listing, convention),
        *classes.find_faults(annotated),
    ]
    counts = [len(entry.boxes_nx4) for entry in annotated.images]
    several = sum(count > 1 for count in counts)
    return Findings(sort_faults(faults), len(counts), len(counts) - len(files) + len(infos), sum(counts), several)


def sort_faults(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Returns the faults without duplicates, sorted by kind in the order of `KINDS`."""
    order = {kind: index for index, kind in enumerate(KINDS)}
    return tuple(sorted(dict.fromkeys(faults), key=lambda fault: order[fault.kind]))


def _file_faults(annotated: AnnotatedFolder, listing: Listing, parts: Mapping[str, str]) -> list[Fault]:
    """Returns faults for images without annotations or boxes, annotations without images, and groups in two splits."""
    faults = []
    has_boxes = any(len(entry.boxes_nx4) for entry in annotated.images)
    groups: dict[str, Annotation] = {}
    for entry in annotated.images:
        where = entry.where or entry.file
        if not listing.status(entry.file):
            faults.append(Fault("missing_image", where, f"there is no image file '{entry.file}'"))
        if has_boxes and not len(entry.boxes_nx4):
            missing = "no box" if entry.label else "neither a box nor a class and is left out, unless data.options.without_objects is True"
            faults.append(Fault("unboxed_image", where, f"'{entry.file}' has {missing}"))
        if entry.group and entry.file in parts:
            first = groups.setdefault(entry.group, entry)
            if parts[first.file] != parts[entry.file]:
                what = f"group '{entry.group}' is in {parts[entry.file]} here and in {parts[first.file]} for {first.file}"
                faults.append(Fault("shared_group", entry.file, what))
    annotated_files = {entry.file for entry in annotated.images}
    faults += [Fault("unannotated_image", name, "no annotation names it") for name in listing.images if name not in annotated_files]
    return faults


def _image_sizes(entries: Sequence[Annotation], infos: Mapping[str, ImageInfo]) -> list[tuple[int, int]]:
    """Returns (width, height) that the boxes of each annotation refer to: as annotated, else upright; (0, 0) if unknown."""
    sizes = []
    for entry in entries:
        info = infos.get(entry.file)
        if entry.width and entry.height:
            sizes.append((entry.width, entry.height))
        else:
            sizes.append(info.upright if info is not None and not info.problem else (0, 0))
    return sizes
