"""YOLO: one text file for each image with a line `class x y width height score` for each box, and the names of the classes.

Classes count from 0. x and y are the center of the box; all four numbers are normalized by the width or the height of the image.
The file of `a/b.jpg` is `labels/a/b.txt`, or `labels/a/b-2.txt` where that name is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from imgloc.data.annotated.listing import IMAGE_SUFFIXES
from imgloc.files import unique_name
from imgloc.interfaces import Detection, Export, ImageRow, Task


def files(rows: Sequence[ImageRow], classes: Sequence[str], task: Task) -> dict[str, str]:
    """`classes.txt`, and `labels/NAME.txt` for each row; it is empty where nothing was predicted."""
    taken: set[str] = set()
    texts = {"classes.txt": "".join(f"{name}\n" for name in classes)}
    for each in rows:
        path = PurePosixPath(each.name.replace("\\", "/"))
        inside = not path.is_absolute() and ".." not in path.parts
        name = str(path) if inside else path.name  # nothing is written outside the folder
        suffix = next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")
        stem = name[: len(name) - len(suffix)] or "image"
        texts[f"labels/{unique_name(stem, taken)}.txt"] = "".join(map(_line, task.detections(each.row)))
    return texts


def _line(detection: Detection) -> str:
    x0, y0, x1, y1 = detection.box
    shares = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
    return f"{detection.label} {' '.join(f'{share:.6f}' for share in shares)} {detection.score:.6f}\n"


EXPORT = Export("one text file for each image, with class, center, size and score of each box", files, needs_boxes=True)
