"""A folder of annotated images, read in whichever format it is."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from imgloc import names
from imgloc.data.annotations import Annotated
from imgloc.data.listing import list_folder
from imgloc.errors import UserError

LAST_RESORT = "class_folders"  # any images in folders are this too


def recognised(folder: Path) -> list[str]:
    """The formats that a folder's files are in. Raises UserError where there is no such folder."""
    list_folder(folder)
    found = [name for name in names.names("data.formats") if names.find("data.formats", name).recognise(folder)]
    return [name for name in found if name != LAST_RESORT] or found


def read_folder(folder: Path, *, format: str = "", convention: str = "") -> Annotated:  # noqa: A002
    """What a folder's files say, in the format named, or else in the one that is recognised.

    Files read once are not read again in the same process until one of them changes. Raises UserError for no such folder, no or
    several formats recognised, an unknown format or convention.
    """
    listing = list_folder(folder)
    form = format
    if not form:
        found = recognised(folder)
        possible = ", ".join(names.names("data.formats"))
        if not found:
            raise UserError(f"no annotation format is recognised in '{folder}'; possible: {possible}, or data.options.format says which")
        if len(found) > 1:
            raise UserError(f"'{folder}' has annotations as {' and as '.join(found)}; set data.options.format to one of them")
        form = found[0]
    state = hashlib.sha256()
    for name, status in sorted(listing.files.items()):
        state.update(f"{name}\0{status}\0".encode())
    return _read(listing.root, form, convention, state.hexdigest())


@functools.lru_cache(maxsize=4)  # the splits of one data set share it
def _read(root: Path, form: str, convention: str, state: str) -> Annotated:
    found: Annotated = names.find("data.formats", form).read(root, convention=convention)
    return found
