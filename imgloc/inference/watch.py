"""The images that appear in folders, as they appear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imgloc.data.annotated.listing import list_folder

POLL_SECONDS = 0.25  # between listings; a file is complete when two of them show the same size and time


def new_images(folders: Sequence[Path], stopped: Callable[[], bool]) -> Iterator[str | None]:
    """Yield the path of each image that is written to one of the folders or below, until `stopped` returns True.

    None follows the images that were found at the same time. Images that are there at the start are not yielded, unless they change.
    Raises UserError where a folder disappears.
    """
    seen = _status(folders)
    before = dict(seen)
    while not stopped():
        time.sleep(POLL_SECONDS)
        now = _status(folders)
        complete = [path for path, status in now.items() if before.get(path) == status != seen.get(path)]
        yield from complete
        if complete:
            yield None
        seen |= {path: now[path] for path in complete}
        before = now


def _status(folders: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """The size and the time of each image."""
    listings = [(folder, list_folder(folder)) for folder in folders]
    return {str(folder / name): listing.files[name] for folder, listing in listings for name in listing.images}
