"""Annotations as a data set's files state them, before anything is corrected or left out.

A format reads its files into an `AnnotatedFolder`; the source `folder` makes examples of it, `imgloc.data.checks` reports its
faults, and writers write it. Boxes are float64 xyxy with continuous edges (pixel i covers [i, i + 1)). A format converts from its
own convention once, while reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from imgloc.types import FloatArray


@dataclass(frozen=True)
class Fault:
    """A fault of a data set: its kind (a key of `imgloc.data.checks.faults.KINDS`), its location and a description."""

    kind: str
    where: str  # a file, relative to the data's folder, with the line number where there is one: `labels.csv:12`
    what: str


@dataclass(frozen=True)
class Annotation:
    """The annotation of one image, uncorrected: boxes may be inverted, outside the image or of undeclared classes."""

    file: str  # the image file, relative to the data's folder, with "/"; it may be missing
    boxes_nx4: FloatArray  # float64 xyxy, continuous edges, in pixels of the annotated picture
    names: tuple[str, ...]  # the class of each box; "" for an undeclared class, which a fault reports
    label: str = ""  # the image's own class; "": the class of its largest box
    relative: bool = False  # whether the boxes are in [0, 1] of the picture's sides instead of pixels
    width: int = 0  # of the picture as annotated; 0: unknown
    height: int = 0
    split: str = ""  # train, validation or test; "": unknown
    group: str = ""  # images of one group stay in one split; "": the image alone is a group
    where: str = ""  # the file and line of the annotation, for messages
    difficult: tuple[bool, ...] = field(default=(), repr=False)  # of each box: left out of the scores of detection; (): none is
    #: Boxes around many objects of a class, which are never among `boxes_nx4`, in the same units.
    crowd_boxes_mx4: FloatArray = field(default_factory=lambda: np.zeros((0, 4)), repr=False)
    crowd_names: tuple[str, ...] = field(default=(), repr=False)  # the class of each; "" for an undeclared class


@dataclass(frozen=True)
class AnnotatedFolder:
    """The annotations of a folder of images, read in one format."""

    format: str
    classes: tuple[str, ...]  # in the order of their numbers
    images: tuple[Annotation, ...]  # ordered by file
    faults: tuple[Fault, ...] = ()  # of the annotation files; the checks find others
