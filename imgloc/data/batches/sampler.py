"""Which example stands where in training: a function of the seed and the step, so nothing but the step is saved."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass

from imgloc.errors import UnreadableImage, UserError
from imgloc.randomness import permutation
from imgloc.types import Example, Reducible, Source

MOST_UNREADABLE = 100  # examples in a row
_told: set[str] = set()
_telling = threading.Lock()


@dataclass(frozen=True)
class IndexSampler:
    """The examples that one process reads from `start_step` on, one after another.

    An endless source is read by index. Another is shuffled anew each epoch, and batches run across epochs.
    """

    source: Source
    seed: int
    batch_size: int  # of all processes together
    start_step: int
    stop_step: int
    process_index: int = 0
    process_count: int = 1

    def __len__(self) -> int:
        return (self.stop_step - self.start_step) * self.share

    @property
    def share(self) -> int:
        """Examples of each batch that are this process's."""
        return self.batch_size // self.process_count

    def number(self, position: int) -> int:
        """Of the example at a position of this process's share: how many all processes together have seen before it in training."""
        step, place = divmod(position, self.share)
        return (self.start_step + step) * self.batch_size + self.process_index * self.share + place

    def index(self, number: int) -> int:
        """The source's index of the example of this number."""
        if self.source.info.endless:
            return number
        epoch, rank = divmod(number, len(self.source))
        return int(permutation(self.seed, "epoch order", epoch, len(self.source))[rank])

    def example(self, number: int, at_least: tuple[int, int] | None = None) -> Example:
        """The example of this number, or the next one whose image can be decoded; see `read`."""
        for later in range(MOST_UNREADABLE):
            found = read_or_report(self.source, self.index(number + later), at_least)
            if found is not None:
                return found
        raise UserError(f"{MOST_UNREADABLE} images in a row cannot be decoded; see imgloc data check")


def read(source: Source, index: int, at_least: tuple[int, int] | None = None) -> Example:
    """An example, its image decoded smaller where the source can and `at_least` (height, width) allows it.

    Raises UnreadableImage.
    """
    if at_least is not None and isinstance(source, Reducible):
        return source.reduced(index, *at_least)
    return source[index]


def read_or_report(source: Source, index: int, at_least: tuple[int, int] | None = None) -> Example | None:
    """See `read`; None, and a line on stderr the first time, where the image cannot be used."""
    try:
        return read(source, index, at_least)
    except UnreadableImage as error:
        with _telling:
            if str(error) not in _told:
                _told.add(str(error))
                sys.stderr.write(f"imgloc: image skipped (so far {len(_told)}): {error}\n")
        return None
