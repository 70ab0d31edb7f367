"""The order of training examples: a function of the seed and the step, so a checkpoint stores nothing but the step."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass

from imgloc.errors import UnreadableImage, UserError
from imgloc.randomness import permutation
from imgloc.types import Example, Reducible, Source

MAX_UNREADABLE = 100  # consecutive examples
_reported: set[str] = set()
_report_lock = threading.Lock()


@dataclass(frozen=True)
class IndexSampler:
    """The examples that one process reads from `start_step` to `stop_step`.

    An endless source is read by index. Any other source is shuffled again in each epoch, and batches cross epoch boundaries.
    """

    source: Source
    seed: int
    batch_size: int  # of all processes together
    start_step: int
    stop_step: int
    process_index: int = 0
    process_count: int = 1

    def __len__(self) -> int:
        return (self.stop_step - self.start_step) * self.local_batch_size

    @property
    def local_batch_size(self) -> int:
        """The number of examples of each batch that this process reads."""
        return self.batch_size // self.process_count

    def number(self, position: int) -> int:
        """The number of the example at a position of this process: how many examples all processes read before it in training."""
        step, place = divmod(position, self.local_batch_size)
        return (self.start_step + step) * self.batch_size + self.process_index * self.local_batch_size + place

    def index(self, number: int) -> int:
        """The index in the source of the example with this number."""
        if self.source.info.endless:
            return number
        epoch, rank = divmod(number, len(self.source))
        return int(permutation(self.seed, "epoch order", epoch, len(self.source))[rank])

    def example(self, number: int, at_least: tuple[int, int] | None = None) -> Example:
        """The example with this number, or the next one whose image can be decoded; see `read_example` for `at_least`."""
        for later in range(MAX_UNREADABLE):
            example = read_or_skip(self.source, self.index(number + later), at_least)
            if example is not None:
                return example
        raise UserError(f"{MAX_UNREADABLE} images in a row cannot be decoded; see imgloc data check")


def read_example(source: Source, index: int, at_least: tuple[int, int] | None = None) -> Example:
    """An example. A source that is `Reducible` may decode its image at a smaller size that is not below `at_least` (height, width).

    Raises UnreadableImage.
    """
    if at_least is not None and isinstance(source, Reducible):
        return source.reduced(index, *at_least)
    return source[index]


def read_or_skip(source: Source, index: int, at_least: tuple[int, int] | None = None) -> Example | None:
    """`read_example`, or None if the image is unreadable; the first time this is also reported on stderr."""
    try:
        return read_example(source, index, at_least)
    except UnreadableImage as error:
        with _report_lock:
            if str(error) not in _reported:
                _reported.add(str(error))
                sys.stderr.write(f"imgloc: image skipped (so far {len(_reported)}): {error}\n")
        return None
