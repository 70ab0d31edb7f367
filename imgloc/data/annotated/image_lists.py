"""Text files that list the images of a split, one on each line: train.txt, val.txt, test.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.listing import IMAGE_SUFFIXES, Listing, parent_folders
from imgloc.data.annotated.splits import SPLIT_NAMES

ABSOLUTE = re.compile(r"^([A-Za-z]:)?[\\/]+")  # the beginning of an absolute path
LOOKED_AT = 20  # lines of a text that may be a list
ORDER = ("test", "validation", "train")  # an image that is scored is not trained on


def listed_images(path: str, listing: Listing, faults: list[Fault]) -> Iterator[str]:
    """Yields the images that a text file lists, missing ones too; a path that leads outside the folder becomes a fault."""
    lines = assemble.read_text(path, listing, faults).splitlines()
    for number, line in enumerate(map(_clean, lines), start=1):
        image = _find_listed(line, path, listing) if line else ""
        if image is None:
            faults.append(assemble.outside_fault(f"{path}:{number}", line))
        elif image:
            yield image


def _find_listed(line: str, path: str, listing: Listing) -> str | None:
    """Returns the image that a line of a list names.

    That of an absolute path, as darknet's lists have them, is the one that the longest of its ends leads to, from the folder of the
    list or from one above it; None if there is none.
    """
    if not ABSOLUTE.match(line):
        return listing.find_image(line, parent_folders(path))
    parts = ABSOLUTE.sub("", line, count=1).replace("\\", "/").split("/")
    ends = ("/".join(filter(None, (folder, *parts[start:]))) for start in range(len(parts)) for folder in parent_folders(path))
    return next((image for end in ends if (image := listing.image_at(end)) is not None), None)


def splits_of_lists(listing: Listing, faults: list[Fault]) -> dict[str, str]:
    """Returns the split of each image in a text file that is named after a split and whose first line names an image."""
    splits: dict[str, str] = {}
    named = {name: SPLIT_NAMES.get(name.rpartition("/")[2].removesuffix(".txt").lower(), "") for name in listing.with_suffix(".txt")}
    lists = [name for name, split in named.items() if split and _names_image(name, listing)]
    what = "it lists images, but none of its first lines names one in the data's folder"
    other = (name for name, split in named.items() if split and name not in lists)
    faults += [Fault("unmatched_list", name, what) for name in other if lists_images_alone(name, listing)]
    for name in sorted(lists, key=lambda name: ORDER.index(named[name])):
        missing = []
        for image in listed_images(name, listing, faults):
            if image not in listing.files:
                missing.append(image)
            if splits.setdefault(image, named[name]) != named[name]:
                what = f"{assemble.quoted(image)} is in {splits[image]} and in {named[name]}; it is used for {splits[image]}"
                faults.append(Fault("duplicate_image", name, what))
        if missing:
            faults.append(
                Fault("unmatched_list", name, f"{len(missing):,} of its lines name no image, such as {assemble.quoted(missing[0])}")
            )
    return splits


def _clean(line: str) -> str:
    return line.strip().strip("\"'")


def _first_lines(name: str, listing: Listing) -> list[str]:
    return [line for line in map(_clean, listing.head(name).splitlines()[:LOOKED_AT]) if line]


def _names_image(name: str, listing: Listing) -> bool:
    """Returns whether one of the first lines of a text names an image that is there."""
    return any(_find_listed(line, name, listing) in listing.files for line in _first_lines(name, listing))


def lists_images_alone(name: str, listing: Listing) -> bool:
    """Returns whether most of the first lines of a text end in the name of an image file: they annotate nothing."""
    lines = _first_lines(name, listing)
    return bool(lines) and 2 * sum(line.lower().endswith(IMAGE_SUFFIXES) for line in lines) > len(lines)
