"""A folder of annotated images, read in whichever format it is."""

from __future__ import annotations

import functools
from pathlib import Path

from imgloc.config import registry
from imgloc.data.annotated.annotations import Annotated
from imgloc.data.annotated.listing import Listing, list_folder
from imgloc.errors import UserError

LAST_RESORT = "class_folders"  # any images in folders are this too


def recognised(folder: Path | Listing) -> list[str]:
    """The formats that a folder's files are in. Raises UserError where there is no such folder."""
    listing = list_folder(folder)
    found = [
        name for name in registry.names("data.formats") if name != LAST_RESORT and registry.find("data.formats", name).recognise(listing)
    ]
    return found or [LAST_RESORT] * registry.find("data.formats", LAST_RESORT).recognise(listing)


def read_folder(folder: Path | Listing, *, format: str = "", convention: str = "") -> Annotated:  # noqa: A002
    """What a folder's files say, in the format named, or else in the one that is recognised.

    Files read once are not read again in the same process until one of them changes. Raises UserError for no such folder, no or
    several formats recognised, an unknown format or convention.
    """
    listing = list_folder(folder)
    form = format
    if not form:
        found = recognised(listing)
        if not found:
            possible = ", ".join(registry.names("data.formats"))
            raise UserError(f"no annotation format is recognised in '{listing.root}'; possible: {possible}; data.options.format says which")
        if len(found) > 1:
            raise UserError(f"'{listing.root}' has annotations as {' and as '.join(found)}; set data.options.format to one of them")
        form = found[0]
    read = registry.find("data.formats", form).read
    kept = _kept(listing.root, form, convention, listing.state)
    if not kept:
        kept.append(read(listing, convention=convention))
    return kept[0]


@functools.lru_cache(maxsize=2)
def _kept(root: Path, form: str, convention: str, state: str) -> list[Annotated]:
    """Where what was read is kept for the other splits of the data set; empty before."""
    return []
