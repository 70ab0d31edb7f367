"""What a data set's files say, before anything is corrected or left out: the meeting point of all formats.

A format reads its files into `Annotated`; the `folder` source makes examples of it, `check` names its faults,
writers write it. Boxes here are float64, xyxy, with continuous edges (pixel i covers [i, i + 1)): a format
converts once, from the convention that it names.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgloc.types import FloatArray


@dataclass(frozen=True)
class Fault:
    """Something wrong with the data: what kind (see `imgloc.data.checks.faults`), where, and what was found, in words."""

    kind: str
    where: str  # a file, relative to the data's folder, with the line where there is one: `labels.csv:12`
    what: str


@dataclass(frozen=True)
class Annotation:
    """What is said of one image. Nothing is corrected: boxes may be inverted, outside, or of unknown classes."""

    file: str  # of the image, relative to the data's folder, with "/"; it may not be there
    boxes_nx4: FloatArray  # float64 xyxy, continuous edges, in pixels of the annotated picture
    names: tuple[str, ...]  # the class of each box; "": of one that is not declared (a fault says which)
    label: str = ""  # the image's own class; "": that of its largest box
    relative: bool = False  # the boxes are in [0, 1] of the picture's sides instead
    width: int = 0  # of the picture as annotated; 0: not said
    height: int = 0
    split: str = ""  # train, validation or test; "": not said
    group: str = ""  # what must not be torn apart by a split; "": the image by itself
    where: str = ""  # the annotation's own file and line, for messages


@dataclass(frozen=True)
class Annotated:
    """A folder of images as one format tells it."""

    format: str
    classes: tuple[str, ...]  # in the order of their numbers
    images: tuple[Annotation, ...]  # ordered by file
    faults: tuple[Fault, ...] = ()  # found while reading
