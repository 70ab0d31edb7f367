"""Following objects through a video frame by frame: from their first boxes, with the state on the device, or from detections."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imgloc import boxes
from imgloc.data.images.decode import with_channels
from imgloc.data.transforms.pixels import resize_image
from imgloc.devices import runtime
from imgloc.errors import UserError
from imgloc.inference.load import NOT_FINITE, TrainedModel
from imgloc.nn.apply import next_frame, reads_videos, start_video
from imgloc.tracking import sort
from imgloc.tracking.sort import PAPER, SortOptions
from imgloc.types import FloatArray, IntArray, Uint8Array


class TrackedFrame(NamedTuple):
    """The boxes (n, 4) of the objects in a frame, in its pixels and cut at its edges, and their scores (n,).

    Objects that a detector finds have the number of their track, from 0, and the name of their class.
    """

    boxes_nx4: FloatArray
    scores_n: FloatArray
    tracks_n: IntArray | None = None
    classes_n: tuple[str, ...] = ()


def track_frames(trained: TrainedModel, frames: Iterable[Uint8Array], start: Sequence[Sequence[float]]) -> Iterator[TrackedFrame]:
    """The boxes in each frame (h, w, 1 or 3) of objects whose boxes in the first frame are `start`, in pixels.

    Raises UserError for a model that does not follow objects, for a box that is not in the first frame, and where a box is not finite.
    """
    if not reads_videos(trained.module):
        raise UserError(f"model '{trained.name}' reads images; imgloc track needs a model of the task track, such as recurrent_tracker")
    options, fields = runtime.compiler_options(), {"model": trained.module, "dtype": trained.dtype}
    begin = jax.jit(functools.partial(start_video, **fields), compiler_options=options)
    advance = jax.jit(functools.partial(next_frame, **fields), donate_argnums=1, compiler_options=options)
    state = None
    for frame in frames:
        height, width = frame.shape[:2]
        image = resize_image(with_channels(frame, trained.spec.shape[2]), *trained.spec.size)[None]
        if state is None:
            state = begin(trained.variables, image, jnp.asarray(_start_boxes(start, width, height)[None]))
            scores = np.ones(len(start))
        else:
            state, device_scores = advance(trained.variables, state, image)
            scores = np.asarray(device_scores[0], np.float64)
        found_nx4 = np.asarray(state.boxes[0], np.float64)
        if not (np.isfinite(found_nx4).all() and np.isfinite(scores).all()):
            raise UserError(NOT_FINITE)
        yield TrackedFrame(boxes.to_pixels(boxes.clip_to_image(found_nx4), width, height), scores)


def track_detections(trained: TrainedModel, frames: Iterable[Uint8Array], options: SortOptions = PAPER) -> Iterator[TrackedFrame]:
    """The objects that a detector finds in each frame (h, w, 1 or 3), with their tracks by SORT.

    A box is that of the track, after its Kalman filter, and a score is that of the detection. Raises UserError for a model without the
    task detect.
    """
    if trained.bundle.task != "detect":
        raise UserError(f"model '{trained.name}' detects no objects; without --start, imgloc track needs a model of the task detect")
    number_of = {name: number for number, name in enumerate(trained.classes)}
    tracks = sort.SortTracks()
    for frame in frames:
        objects = trained.predict(frame)[0].answer.objects
        boxes_nx4 = np.array([each.box for each in objects], np.float64).reshape(-1, 4)
        labels_n = np.array([number_of[each.label] for each in objects], np.int64)
        tracks, shown_k, detections_m = sort.advance(tracks, boxes_nx4, labels_n, options)
        height, width = frame.shape[:2]
        yield TrackedFrame(
            tracks.boxes_mx4()[shown_k].clip(0, [width, height, width, height]),
            np.array([objects[n].score for n in detections_m[shown_k]]),
            tracks.ids_m[shown_k],
            tuple(objects[n].label for n in detections_m[shown_k]),
        )


def _start_boxes(start: Sequence[Sequence[float]], width: int, height: int) -> FloatArray:
    """The boxes in [0, 1]. Raises UserError for a box without area or beyond the frame."""
    for box in start:
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            shown = ",".join(f"{edge:g}" for edge in box)
            raise UserError(f"--start {shown} is not a box in a frame of {width} x {height} pixels; expected x0,y0,x1,y1 in pixels")
    return np.asarray(boxes.from_pixels(np.asarray(start, np.float32), width, height))
