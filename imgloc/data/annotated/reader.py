"""Reading a folder of annotated images in its format.

A format is a file of `imgloc.data.formats` with two functions. `recognise(folder)` returns whether the files of a listing look like the
format, by their names and beginnings. `read(folder, *, convention="")` returns an `AnnotatedFolder`; what cannot be used becomes a
`Fault` with its file and place. It may have the option `class_attribute`, and the file a function `write(annotated, folder)`.
"""

from __future__ import annotations

import functools
import inspect
from pathlib import Path

from imgloc.config import registry
from imgloc.data.annotated import foreign
from imgloc.data.annotated.annotations import AnnotatedFolder
from imgloc.data.annotated.listing import Listing, list_folder
from imgloc.errors import UserError

FALLBACK = "class_folders"  # it also recognises the folders of other formats


def detect_formats(folder: Path | Listing) -> list[str]:
    """Returns the formats that recognise a folder's files. Raises UserError if the folder does not exist."""
    listing = list_folder(folder)
    formats = {name: registry.find("data.formats", name) for name in registry.names("data.formats")}
    detected = [name for name, module in formats.items() if name != FALLBACK and module.recognise(listing)]
    return detected or [FALLBACK] * formats[FALLBACK].recognise(listing)


def read_folder(
    folder: Path | Listing, *, format: str = "", convention: str = "", class_attribute: str = ""  # noqa: A002
) -> AnnotatedFolder:  # fmt: skip
    """Returns the annotations of a folder, read in the named format or else in the detected one.

    `class_attribute` is the attribute of objects that is their class, for formats whose `read` has this option. The files are read
    again only if one of them has changed since the last call in this process. Raises UserError if the folder does not exist, if no
    format or several are detected, and for an unknown format, convention or attribute.
    """
    listing = list_folder(folder)
    name = format
    if not name:
        detected = detect_formats(listing)
        if not detected:
            raise _no_format(listing)
        if len(detected) > 1:
            raise UserError(f"'{listing.root}' has annotations as {' and as '.join(detected)}; set data.options.format to one of them")
        name = detected[0]
    read = registry.find("data.formats", name).read
    options = {"class_attribute": class_attribute} if class_attribute else {}
    if not options.keys() <= inspect.signature(read).parameters.keys():
        raise UserError(
            f"data.options.class_attribute is '{class_attribute}', but objects of the format {name} have no attributes to choose"
        )
    cell = _cache_cell(listing.root, name, convention, class_attribute, listing.state)
    if not cell:
        cell.append(read(listing, convention=convention, **options))
    return cell[0]


def _no_format(listing: Listing) -> UserError:
    """Returns the error for a folder in which no format is recognized."""
    why = _why(listing)
    if not why and not listing.images:
        return UserError(f"'{listing.root}' has no images; data.options.folder must name a folder of images and their annotations")
    possible = ", ".join(registry.names("data.formats"))
    return UserError(f"no annotation format is recognized in '{listing.root}'{why}; possible: {possible}; set data.options.format to one")


def _why(listing: Listing) -> str:
    """Returns a reason why no format is recognized, for a message; "" if there is none."""
    if listing.faults:
        return f"; {listing.faults[0].where}: {listing.faults[0].what}"
    files = foreign.files_naming_images(listing)
    if not files:
        return ""
    try:
        kinds = foreign.describe_text(listing.read_text(files[0])[0], files[0])
    except ValueError:
        kinds = []
    what = kinds[0].what if kinds else "it names images, but is in no format that is read"
    return f"; {files[0]}: {what}"


@functools.lru_cache(maxsize=2)
def _cache_cell(root: Path, name: str, convention: str, class_attribute: str, state: str) -> list[AnnotatedFolder]:
    """Returns the list that holds the annotations after the first read, for the other splits of the data set."""
    return []
