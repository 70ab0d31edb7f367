"""imgloc track"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from imgloc import files
from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.inference.track_video import TrackedFrame
    from imgloc.types import Uint8Array

HELP = "follow objects through a video, one JSON line for each frame"
EXAMPLES = """\
Each line on standard output is a JSON object of a frame: "frame", its number from 0, and "objects", a list with a "box": [x0, y0, x1, y1]
in pixels and a "score", the probability that the object can be seen, for each --start. With a model of the task detect, which takes no
--start, an object has the score of its detection, a "class", and the number of its "track" (SORT).

examples:
  imgloc track runs/a video.mp4 --start 40,30,90,110
  imgloc track runs/a video.mp4 --start 40,30,90,110 --start 200,50,240,120 --out tracked.mp4
  imgloc track runs/detector video.mp4 --out tracked.mp4

exit codes: 0 success; 2 a mistake in the command, the model or the video
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("model", metavar="MODEL", help="a run folder, RUN/model or a copy of it, of the task track or detect")
    parser.add_argument("video", metavar="VIDEO", help="a video file")
    text = "the box of an object in the first frame, in pixels; several flags for several objects"
    parser.add_argument("--start", action="append", default=[], metavar="X0,Y0,X1,Y1", help=text)
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--out", default="", metavar="FILE", help="write a copy of the video with the boxes there (.mp4)")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Track."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: --start, --checkpoint, --out")
    start = [_box(text) for text in parsed.start]
    out = Path(parsed.out) if parsed.out else None
    if out is not None:
        if out.suffix.lower() != ".mp4":
            raise UserError(f"--out '{out}' is not the name of a video; expected a file name that ends in .mp4")
        files.check_writable(out.parent)
    from imgloc.devices import runtime

    runtime.prepare()

    from imgloc.data.images.video import every_frame, frame_rate, write_video
    from imgloc.inference.load import open_model
    from imgloc.inference.track_video import track_detections, track_frames

    trained, path = open_model(parsed.model, checkpoint=parsed.checkpoint), Path(parsed.video)
    shown: list[Uint8Array] = []  # the frame that is being tracked

    def keep(frames: Iterator[Uint8Array]) -> Iterator[Uint8Array]:
        for frame in frames:
            shown[:] = [frame]
            yield frame

    def printed() -> Iterator[TrackedFrame]:
        frames = keep(every_frame(path))
        for number, tracked in enumerate(track_frames(trained, frames, start) if start else track_detections(trained, frames)):
            print(json.dumps(_line(number, tracked)), flush=True)
            yield tracked

    steps: Iterator[Any] = printed()
    if out is not None:
        steps = write_video(out, (_picture(shown[0], tracked) for tracked in steps), frame_rate(path))
    for _ in steps:
        pass
    return 0


def _box(text: str) -> list[float]:
    """The numbers of a --start. Raises UserError unless there are four."""
    try:
        edges = [float(part) for part in text.split(",")]
    except ValueError:
        edges = []
    if len(edges) != 4:
        raise UserError(f"--start '{text}' is not a box; expected x0,y0,x1,y1 in pixels, such as 40,30,90,110")
    return edges


def _line(number: int, tracked: TrackedFrame) -> dict[str, Any]:
    pairs = zip(tracked.boxes_nx4.tolist(), tracked.scores_n.tolist(), strict=True)
    objects: list[dict[str, Any]] = [{"box": [round(edge, 3) for edge in box], "score": round(score, 6)} for box, score in pairs]
    if tracked.tracks_n is not None:
        named = zip(objects, tracked.tracks_n.tolist(), tracked.classes_n, strict=True)
        objects = [{"track": track, "class": name, **each} for each, track, name in named]
    return {"frame": number, "objects": objects}


def _picture(frame: Uint8Array, tracked: TrackedFrame) -> Uint8Array:
    """The frame with its boxes."""
    from imgloc.draw import PREDICTED_COLOR, draw_box

    picture = Image.fromarray(frame)
    numbers = [] if tracked.tracks_n is None else tracked.tracks_n.tolist()
    for box, caption in itertools.zip_longest(tracked.boxes_nx4, map(str, numbers), fillvalue=""):
        draw_box(picture, (box / np.array(picture.size * 2)).tolist(), PREDICTED_COLOR, caption)
    return np.asarray(picture)
