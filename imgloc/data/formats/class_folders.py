"""A folder for each class, without boxes: ROOT/cat/1.jpg, or ROOT/train/cat/1.jpg with splits."""

from __future__ import annotations

from pathlib import Path

from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, split_of_folders

NOT_CLASSES = {"images", "jpegimages", "img", "imgs", "annotations", "labels"}  # folders that are not named after a class


def recognise(folder: Path | Listing) -> bool:
    """Returns whether images are in two or more folders that may be classes."""
    return len(read(folder).classes) > 1


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all images that are in a class's folder, at any depth. Classes are in alphabetical order.

    Folders of splits above the classes are recognised if all images are in such folders; otherwise a folder `train` is a class.
    Raises UserError if the folder does not exist, and for a convention other than edges.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    folders = {file: _parents(file) for file in listing.images}
    split_of = {parents[0]: split_of_folders(f"{parents[0]}/") for parents in folders.values() if parents}  # by topmost folder
    has_splits = all(split_of.values())
    entries = []
    for file, parents in folders.items():
        if len(parents) > has_splits:
            split = split_of[parents[0]] if has_splits else ""
            entries.append(Annotation(file, assemble.box_array([]), (), label=parents[int(has_splits)], split=split, where=file))
    faults = list(listing.faults)
    if not has_splits:
        stray = next(file for file, parents in folders.items() if parents and not split_of[parents[0]])
        suspects = dict.fromkeys(parents[0] for parents in folders.values() if len(parents) > 1 and split_of[parents[0]])
        if len({split_of[name] for name in suspects}) > 1:
            what = f"the folder is taken for a class, because not all images are in folders of splits: {assemble.quoted(stray)} is not"
            faults += [Fault("split_as_class", name, what) for name in suspects]
    return assemble.merge_annotations("class_folders", sorted({entry.label for entry in entries}), entries, faults)


def _parents(file: str) -> list[str]:
    """Returns the folders above an image, without outer folders that are named after neither a split nor a class."""
    parents = file.split("/")[:-1]
    while parents and parents[0].lower() in NOT_CLASSES:
        parents = parents[1:]
    return parents
