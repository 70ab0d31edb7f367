"""A folder for each class, without boxes: ROOT/cat/1.jpg, or ROOT/train/cat/1.jpg with splits.

Splits may also be lists of images that are named after them (train.txt).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imgloc.data.annotated import assemble, foreign
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.image_lists import lists_images_alone, splits_of_lists
from imgloc.data.annotated.listing import Listing, list_folder
from imgloc.data.annotated.splits import parse_folder_name

NOT_CLASSES = {"images", "jpegimages", "img", "imgs", "annotations", "labels"}  # folders that are not named after a class


def recognise(folder: Path | Listing) -> bool:
    """Returns whether images are in two or more folders that may be classes, and no text file but lists of splits names images.

    Such a file may have annotations in a format that is not read, beside which the names of folders mean something else.
    """
    listing = list_folder(folder)
    return len(read(listing).classes) > 1 and not unread_files(listing)


def unread_files(listing: Listing) -> list[str]:
    """Returns the text files that name images and are not lists of splits."""
    files = foreign.files_naming_images(listing)
    if not files or not splits_of_lists(listing, faults=[]):
        return files
    return [name for name in files if not lists_images_alone(name, listing)]


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all images that are in a class's folder, at any depth. Classes are in alphabetical order.

    Folders of splits above the classes are recognised if all images are in such folders, or in one beside them that has the same
    words and no classes (seg_pred beside seg_train and seg_test); otherwise a folder `train` is a class.
    Raises UserError if the folder does not exist, and for a convention other than edges.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    folders = {file: _parents(file) for file in listing.images}
    split_of = {parents[0]: _split_of_top(file, parents[0], listing) for file, parents in folders.items() if parents}
    stray = {name for name, split in split_of.items() if not split and not _is_unlabelled(name, split_of, folders)}
    has_splits = not stray and any(split_of.values())
    lists = {} if has_splits else splits_of_lists(listing, faults)
    entries = []
    for file, parents in folders.items():
        classes = _below_split(parents) if has_splits and parents and split_of[parents[0]] else [] if has_splits else parents
        if classes:
            split = split_of[parents[0]] if has_splits else lists.get(file, "")
            entries.append(Annotation(file, assemble.box_array([]), (), label=classes[0], split=split, where=file))
    if stray:
        suspects = dict.fromkeys(parents[0] for parents in folders.values() if len(parents) > 1 and split_of[parents[0]])
        if len({split_of[name] for name in suspects}) > 1:
            example = next(file for file, parents in folders.items() if parents and parents[0] in stray)
            what = f"the folder is taken for a class, because not all images are in folders of splits: {assemble.quoted(example)} is not"
            faults += [Fault("split_as_class", name, what) for name in suspects]
    return assemble.merge_annotations("class_folders", sorted({entry.label for entry in entries}), entries, faults)


def _parents(file: str) -> list[str]:
    """Returns the folders above an image, without outer folders that are named after neither a split nor a class."""
    parents = file.split("/")[:-1]
    while parents and parents[0].lower() in NOT_CLASSES:
        parents = parents[1:]
    return parents


def _split_of_top(file: str, top: str, listing: Listing) -> str:
    """Returns the split of the topmost folder of an image that may be a class, "" for none."""
    above = file.split("/")[: file.split("/").index(top) + 1]
    return listing.split_of("/".join([*above, "x"]))


def _below_split(parents: list[str]) -> list[str]:
    """Returns the folders below that of a split, without a repeated one (archives have train/train) and folders of images."""
    below = parents[1:]
    while below and (below[0] == parents[0] or below[0].lower() in NOT_CLASSES):
        below = below[1:]
    return below


def _is_unlabelled(name: str, split_of: Mapping[str, str], folders: Mapping[str, list[str]]) -> bool:
    """Returns whether a top folder has the words of several splits' folders beside it, and images but no folders of classes."""
    words = set(parse_folder_name(name)[1])
    rests = [set(parse_folder_name(other)[1]) for other, split in split_of.items() if split]
    is_flat = all(not _below_split(parents) for parents in folders.values() if parents and parents[0] == name)
    return is_flat and len(rests) > 1 and any(rest and rest < words for rest in rests)
