"""The vocabulary: what flows from a data set to a report.

Shapes are in the names: b examples, n objects, h rows, w columns, c channels, k classes.
A box is float32 (x0, y0, x1, y1) with continuous edges in [0, 1] of the image's width and height;
pixel i covers [i, i + 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Int32, UInt8

if TYPE_CHECKING:
    import jax

    Array: TypeAlias = jax.Array | npt.NDArray[Any]
else:
    Array = Any  # anything with a shape and a dtype: this file does not import JAX

Uint8Array: TypeAlias = npt.NDArray[np.uint8]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Shape: TypeAlias = tuple[int, int, int]  # h, w, c of the images of a batch

#: The outputs of a model for a batch: arrays with a leading axis b. Reserved names: `logits` (b, k); `box` (b, 4); `sequence` (b, n, k),
#: a label for each object from left to right; `boxes` (b, n, 4), `scores` (b, n) and `labels` (b, n), the detected objects, where a
#: score of 0 stands for none; `tracks` (b, t, n, 4) and `track_scores` (b, t, n), the boxes of objects in each frame of a video, where a
#: score of 0 stands for none, and `track_logits` (b, t, n), the logits of these scores; `score_maps` (b, h', w', k), for each class a map
#: of the evidence that each part of the input gives, whose values are comparable within a map only;
#: `fixations` (b, g, 4), the windows that a model with attention has read, in order;
#: `features`, a dict of named intermediates; `partial_predictions`, for a model that reads an image in several steps s: its
#: predictions had it stopped at each of them. That is a dict with `logits` (b, s, k), other outputs such as `box` (b, s, 4) and
#: `fixations` (b, s, 4), the window of the step, and `seen` (b, s, h', w'), the share of each cell of a grid over the image that has
#: been read by then, 0 to 1. Training and scoring leave it out and do not compute it; with train=True a model may leave it out.
Outputs: TypeAlias = Mapping[str, Any]
MAX_PARTIAL_STEPS = 64  # of `partial_predictions`
DICT_OUTPUTS = ("features", "partial_predictions")  # outputs that are dicts; no row is made of them

#: One example in a saved table: plain JSON values. See `imgloc.runs.prediction_table`.
Row: TypeAlias = dict[str, Any]

NO_BOXES_0X4: FloatArray = np.zeros((0, 4), np.float32)
NO_LABELS_0: IntArray = np.zeros(0, np.int32)
for _constant in (NO_BOXES_0X4, NO_LABELS_0):
    _constant.setflags(write=False)


@dataclass(frozen=True)
class Info:
    """Facts about a source that hold for all its splits."""

    classes: tuple[str, ...]
    channels: int  # 3 (RGB) or 1 (grey)
    endless: bool = False  # training examples are made from their index and never run out
    has_boxes: bool = True  # some image of the split may have a box
    all_labelled: bool = True  # every image has a class; if not, images without objects have the label -1


class Tracks(NamedTuple):
    """The boxes of n objects in the t frames of a video, with a leading axis b in a batch. Absent boxes are zeros."""

    boxes: Float32[Array, "*b t n 4"]
    present: Bool[Array, "*b t n"]  # whether the object has a box in the frame, seen or hidden
    visible: Float32[Array, "*b t n"]  # the share of the object that can be seen


class Video(NamedTuple):
    """What a model reads of videos: their frames and the boxes of n objects in the first of them.

    `truth` is given in training alone, in which a model may start from the true box of a frame again.
    """

    frames_bxtxhxwxc: Array
    start_bxnx4: Array
    truth: Tracks | None = None


@dataclass(frozen=True)
class Example:
    """One image and its truth, or a video: its image is the first frame, and its truth that of the first frame.

    `group` names what must not be torn apart by a split or a bootstrap (the digit, the clip);
    sources that share digits give a digit the same group; else groups are a data set's own.
    A crowd is a region with many objects of a class, none of which is in `boxes_nx4`. Only scoring reads crowds; examples of training
    lose them before they are augmented, so that transforms need not move them.
    The first tracks of a video are those of `boxes_nx4`, in this order; those of objects that are absent from the first frame follow.
    """

    image_hxwxc: Uint8Array
    boxes_nx4: FloatArray
    labels_n: IntArray
    label: int  # of the image; -1 if an image without objects has none, which only tasks that learn all objects accept
    id: str
    group: str
    attributes: Mapping[str, str] = field(default_factory=dict)  # that a data set adds, such as {"camera": "left"}; scored in slices
    difficult_n: BoolArray | None = None  # objects that are trained on, but left out of the scores of detection; None: no object is
    crowd_boxes_mx4: FloatArray = field(default_factory=lambda: NO_BOXES_0X4)  # float32, in [0, 1] of the source's image
    crowd_labels_m: IntArray = field(default_factory=lambda: NO_LABELS_0)
    upright_size: tuple[int, int] | None = None  # width and height of the stored picture; None: those of `image_hxwxc`
    frames_txhxwxc: Uint8Array | None = None  # of a video
    tracks: Tracks | None = None  # of a video

    @property
    def truth(self) -> Truth:
        """The truth of an example as its source returns it; the size is that of the upright picture, also where it was decoded reduced."""
        height, width = self.image_hxwxc.shape[:2]
        width, height = self.upright_size or (width, height)
        crowds = self.crowd_boxes_mx4, self.crowd_labels_m
        return Truth(self.boxes_nx4, self.labels_n, self.label, self.id, width, height, self.difficult_n, *crowds, self.tracks)


class Source(Protocol):
    """One split of a data set: random access, picklable, the same bits each time."""

    @property
    def info(self) -> Info: ...

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides the examples."""

    @property
    def groups(self) -> frozenset[str]:
        """All groups of the split, without making its examples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


class Batch(NamedTuple):
    """Examples of one size, stacked: NumPy arrays, or JAX arrays inside a step.

    Object 0 is the largest of the image's own class, if there is one; `example_mask_b` is False for padding, which is zeros.
    """

    images_bxhxwxc: UInt8[Array, "b h w c"]
    boxes_bxnx4: Float32[Array, "b n 4"]
    labels_bxn: Int32[Array, "b n"]
    object_mask_bxn: Bool[Array, "b n"]
    label_b: Int32[Array, " b"]  # the image's own
    example_mask_b: Bool[Array, " b"]
    content_bx4: Float32[Array, "b 4"]  # the part of each image, a box in [0, 1], that shows the example's; all of it unless letterboxed
    soft_label_bxk: Float32[Array, "b k"] | None = None  # of mixed images; rows that sum to 1, or less where an image has no label
    frames_bxtxhxwxc: UInt8[Array, "b t h w c"] | None = None  # of videos, whose first frames are the images; padded with zeros
    tracks: Tracks | None = None  # of the objects of the first frames, in their order; padding of frames and objects is absent


@runtime_checkable
class InMemory(Protocol):
    """A source whose decoded examples are in memory, so that it can return a batch without making examples."""

    def take(self, indices_b: IntArray) -> Batch:
        """Returns the batch of these indices, images at the source's own size: the same bits as `collate` of `source[i]`.

        It has as many objects as the example with the most, in the order of `collate`; unused places hold zeros and are masked out.
        """


@runtime_checkable
class Reducible(Protocol):
    """A source of encoded images that can decode an image at a lower cost."""

    def reduced(self, index: int, height: int, width: int) -> Example:
        """Returns the example of this index. Its image may be reduced, but not below `height` and `width` unless it is stored smaller.

        `upright_size` of the example is the size of the image that is not reduced.
        """


@dataclass(frozen=True)
class Truth:
    """The truth of an example, without its pixels."""

    boxes_nx4: FloatArray  # as those of the Example
    labels_n: IntArray
    label: int
    id: str
    width: int = 0  # of the upright picture; 0: not known
    height: int = 0
    difficult_n: BoolArray | None = None  # as those of the Example
    crowd_boxes_mx4: FloatArray = field(default_factory=lambda: NO_BOXES_0X4)
    crowd_labels_m: IntArray = field(default_factory=lambda: NO_LABELS_0)
    tracks: Tracks | None = None  # of a video


@runtime_checkable
class TruthKnown(Protocol):
    """A source of encoded images that can return the truth of an example from the header of its image alone."""

    def known(self, index: int) -> Truth:
        """Returns the truth of `source[index]`. Raises UnreadableImage if the header or the annotation is unusable."""


@runtime_checkable
class ObjectsCounted(Protocol):
    """A source that knows how many objects its images have without reading an image."""

    def object_counts(self) -> IntArray:
        """Returns the number of annotated objects (n,) of each example; a few may be left out of the example because they have no area."""


@runtime_checkable
class Selectable(Protocol):
    """A source that is made of real images, and can be made of some of them."""

    def selected(self, choose: Callable[[int], IntArray]) -> Source:
        """Returns the source made of the images whose indices `choose` returns for the number of its real images."""


#: Outputs (NumPy) for a batch, padding included.
Predict: TypeAlias = Callable[[Batch], Outputs]


RESIZES = ("stretch", "letterbox")  # of training


@dataclass(frozen=True)
class InputSpec:
    """The shape and number of boxes of a model's input, and how images are resized to it."""

    shape: Shape  # of the images
    max_objects: int = 1  # boxes kept for an image; see `collate`
    resize: str = "stretch"  # to `shape`; letterbox: sides keep their ratio, the rest is black; or crop (prediction alone): the center

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.shape[:2]


@dataclass(frozen=True)
class Augmentation:
    """A random change of an example of training."""

    augment: Callable[[Example, np.random.Generator], Example]
    enlarges: float = 1.0  # the largest factor by which it may enlarge a side of the content
