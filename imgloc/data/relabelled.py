"""A split with the class numbers of another class list: classes are matched by name, never by position."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from imgloc import files
from imgloc.data.batches.sampler import read_example
from imgloc.errors import UserError, listed
from imgloc.types import Example, Info, IntArray, Source, Truth, TruthKnown

MAX_NAMED = 5  # classes in a message
T = TypeVar("T", Example, Truth)


def match_classes(source: Source, classes: tuple[str, ...]) -> Source:
    """The split with its labels numbered as in `classes`. Raises UserError where its data set has a class that is not among these."""
    if source.info.classes == classes:
        return source
    extra = [name for name in source.info.classes if name not in classes]
    if extra:
        ours, theirs = listed(classes, MAX_NAMED), listed(extra, MAX_NAMED)
        raise UserError(
            f"the data has {len(extra)} class{'es' if len(extra) > 1 else ''} that the run does not know ({theirs}); it was trained on "
            f"{len(classes)} ({ours}); restore the data, or choose the classes (data.options.classes, if the source has it)"
        )
    return Relabelled(source, classes)


@dataclass(frozen=True)
class Relabelled:
    """See `match_classes`. It is `Reducible` and `TruthKnown` whether or not the split is."""

    source: Source
    classes: tuple[str, ...]

    @property
    def info(self) -> Info:
        return dataclasses.replace(self.source.info, classes=self.classes)

    @cached_property
    def fingerprint(self) -> str:
        return files.fingerprint([self.source.fingerprint, list(self.classes)])

    @property
    def groups(self) -> frozenset[str]:
        return self.source.groups

    @cached_property
    def _numbers(self) -> IntArray:
        return np.array([self.classes.index(name) for name in self.source.info.classes], np.int32)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        return self._relabelled(self.source[index])

    def reduced(self, index: int, height: int, width: int) -> Example:
        """See `imgloc.types.Reducible`."""
        return self._relabelled(read_example(self.source, index, (height, width)))

    def known(self, index: int) -> Truth:
        """See `imgloc.types.TruthKnown`."""
        if isinstance(self.source, TruthKnown):
            return self._relabelled(self.source.known(index))
        return self[index].truth

    def _renumbered(self, labels: IntArray) -> IntArray:
        return np.where(labels < 0, labels, self._numbers[labels]).astype(np.int32)  # -1: no label

    def _relabelled(self, known: T) -> T:
        label = int(self._renumbered(np.array(known.label)))
        labels_n, crowd_labels_m = self._renumbered(known.labels_n), self._renumbered(known.crowd_labels_m)
        return dataclasses.replace(known, labels_n=labels_n, label=label, crowd_labels_m=crowd_labels_m)
