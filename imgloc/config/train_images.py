"""A data set with few training images: `data.train_images` of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from imgloc import files
from imgloc.errors import UserError
from imgloc.randomness import permutation
from imgloc.types import Example, Info, IntArray, Reducible, Selectable, Source, Truth, TruthKnown

SEED = 0  # of the choice of images, and of the images of an endless source


def few_images(make: Callable[[int], Source], seed: int, count: int) -> Source:
    """A training split with `count` of its images, the same for every seed; those of a smaller count are among those of a larger one.

    `make` returns the split for a seed. An endless source gives the first images of seed 0, unless it is made of real images
    (`Selectable`): then `count` of these are chosen, and it stays endless. Raises UserError if the split has fewer images.
    """
    source = make(seed)
    choose = functools.partial(chosen, count=count)
    if isinstance(source, Selectable):
        return source.selected(choose)
    if source.info.endless:
        return Subset(make(SEED), tuple(range(count)))
    return Subset(source, tuple(choose(len(source)).tolist()))


def chosen(size: int, count: int) -> IntArray:
    """The indices (count,) of `count` of `size` images: the first ones of a fixed shuffle. Raises UserError if there are fewer."""
    if count > size:
        raise UserError(f"data.train_images must be at most {size:,}, the number of training images, got {count:,}; 0 uses all of them")
    return permutation(SEED, "train images", 0, size)[:count]


@dataclass(frozen=True)
class Subset:
    """The examples of a split that have these indices. It is `Reducible` and `TruthKnown` whether or not the split is.

    Its groups are those of the split, because nothing smaller is known without making the examples.
    """

    source: Source
    indices: tuple[int, ...]

    @property
    def info(self) -> Info:
        return dataclasses.replace(self.source.info, endless=False)

    @cached_property
    def fingerprint(self) -> str:
        return files.fingerprint(["subset", self.source.fingerprint, list(self.indices)])

    @property
    def groups(self) -> frozenset[str]:
        return self.source.groups

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.source[self.indices[index]]

    def reduced(self, index: int, height: int, width: int) -> Example:
        """See `imgloc.types.Reducible`."""
        return self.source.reduced(self.indices[index], height, width) if isinstance(self.source, Reducible) else self[index]

    def known(self, index: int) -> Truth:
        """See `imgloc.types.TruthKnown`."""
        return self.source.known(self.indices[index]) if isinstance(self.source, TruthKnown) else self[index].truth
