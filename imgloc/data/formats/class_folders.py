"""A folder for each class, without boxes: ROOT/cat/1.jpg, or ROOT/train/cat/1.jpg where there are splits."""

from __future__ import annotations

from pathlib import Path

from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, split_of_folders

PLAIN = {"images", "jpegimages", "img", "imgs", "annotations", "labels"}  # folders that name no class


def recognise(folder: Path | Listing) -> bool:
    """Whether images lie in two or more folders that may be classes."""
    return len(read(folder).classes) > 1


def read(folder: Path | Listing, *, convention: str = "") -> Annotated:
    """All images of a folder that lie in a folder of a class, at any depth. Classes are in alphabetical order.

    Raises UserError for no such folder, and for a convention other than edges: there are no boxes.
    """
    assemble.only_edges(convention)
    listing = list_folder(folder)
    entries = []
    folders = {file: _folders(file) for file in listing.images}
    splits = all(split_of_folders(f"{above[0]}/") for above in folders.values() if above)  # else a train is a class
    for file, above in folders.items():
        if len(above) > splits:
            split = split_of_folders(f"{above[0]}/") if splits else ""
            entries.append(Annotation(file, assemble.box_array([]), (), label=above[int(splits)], split=split, where=file))
    beside = {} if splits else {above[0]: file for file, above in folders.items() if len(above) > 1 and split_of_folders(f"{above[0]}/")}
    stray = next((file for file, above in folders.items() if above and not split_of_folders(f"{above[0]}/")), "")
    what = f"it is taken for a class, as not all images lie in folders of splits: {assemble.brief(stray)} does not"
    told = [Fault("split_as_class", name, what) for name in beside if len({split_of_folders(f"{name}/") for name in beside}) > 1]
    return assemble.assembled("class_folders", sorted({entry.label for entry in entries}), entries, [*listing.faults, *told])


def _folders(file: str) -> list[str]:
    """The folders above an image without those at the top that name neither a split nor a class."""
    above = file.split("/")[:-1]
    while above and above[0].lower() in PLAIN:
        above = above[1:]
    return above
