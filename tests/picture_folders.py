"""Small folders of images with boxes, and a check that reading opens no file outside a folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

import imgloc
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation
from imgloc.data.formats import csv
from imgloc.types import FloatArray

CLASSES = ("cat", "dog", "owl")
COUNT = 90


def boxes_of(number: int) -> FloatArray:
    """Returns one or two boxes in pixels of an image of 32 x 24."""
    rng = np.random.default_rng(number)
    low = rng.integers(0, [20, 14], (1 + number % 2, 2))
    return np.concatenate([low, low + rng.integers(3, 10, low.shape)], axis=1).astype(np.float64)


def prepare(folder: Path) -> None:
    """Writes COUNT images in images/, and labels.csv without splits."""
    (folder / "images").mkdir(parents=True)
    entries = []
    for number in range(COUNT):
        boxes = boxes_of(number)
        pixels = np.full((24, 32, 3), number, np.uint8)
        for x0, y0, x1, y1 in boxes.astype(int):
            pixels[y0:y1, x0:x1] = 200
        name = f"images/{number:02d}.png"
        Image.fromarray(pixels).save(folder / name)
        entries.append(Annotation(name, boxes, tuple(CLASSES[(number + i) % 3] for i in range(len(boxes))), width=32, height=24))
    csv.write(AnnotatedFolder("csv", CLASSES, tuple(entries)), folder)


def touch(folder: Path, *names: str) -> None:
    """Creates empty files and their folders."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def put(folder: Path, **texts: str | bytes) -> None:
    """Writes files; `__` in a name stands for "/", `_dot_` for "."."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


@st.composite
def annotated_folders(draw: st.DrawFn, *, whole: bool) -> AnnotatedFolder:
    """Draws annotations of images in images/, with boxes inside them; `whole`: in whole pixels; with difficult objects and crowds."""
    coordinate = st.integers(0, 400).map(float) if whole else st.floats(0, 400)
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=4))
    entries = []
    for name in sorted(names):
        corners = draw(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=3))
        boxes = [[min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1] for a, b, c, d in corners]
        labels = tuple(draw(st.sampled_from(CLASSES)) for _ in boxes)
        split = draw(st.sampled_from(("train", "validation", "test")))
        kinds = tuple(draw(st.sampled_from(("object", "difficult", "crowd"))) for _ in boxes)
        single, crowd = ([i for i, kind in enumerate(kinds) if (kind == "crowd") == crowds] for crowds in (False, True))
        all_boxes, difficult = np.array(boxes).reshape(-1, 4), tuple(kinds[i] == "difficult" for i in single)
        entries.append(
            Annotation(
                f"images/{name}.jpg", all_boxes[single], tuple(labels[i] for i in single), width=500, height=401, split=split,
                difficult=difficult if any(difficult) else (), crowd_boxes_mx4=all_boxes[crowd],
                crowd_names=tuple(labels[i] for i in crowd),
            )
        )  # fmt: skip
    return AnnotatedFolder("", CLASSES, tuple(entries))


def assert_same(
    actual: AnnotatedFolder, expected: AnnotatedFolder, *, within: float, crowds: bool = False, difficult: bool = False
) -> None:
    """Asserts equal boxes, up to `within` pixels, with equal classes, sizes and splits, and with the flags that a format has."""
    faults = [fault for fault in actual.faults if fault.kind != "group_box"]
    assert not faults, faults
    assert [entry.file for entry in actual.images] == [entry.file for entry in expected.images]
    for ours, theirs in zip(actual.images, expected.images, strict=True):
        size = np.array([theirs.width, theirs.height] * 2) if ours.relative else 1.0
        np.testing.assert_allclose(ours.boxes_nx4 * size, theirs.boxes_nx4, atol=within, rtol=0)
        assert ours.names == theirs.names
        assert ours.difficult == (theirs.difficult if difficult else ())
        assert ours.crowd_names == (theirs.crowd_names if crowds else ())
        np.testing.assert_allclose(ours.crowd_boxes_mx4 * size, theirs.crowd_boxes_mx4 if crowds else np.zeros((0, 4)), atol=within, rtol=0)
        assert ours.split == theirs.split
        assert ours.relative or (ours.width, ours.height) == (theirs.width, theirs.height)


OPENED: list[str] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if OPENED is not None and event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes)):
        OPENED.append(os.fsdecode(arguments[0]))


@contextlib.contextmanager
def nothing_opened_outside(folder: Path) -> Iterator[None]:
    """Asserts that Python opens no file and lists no folder outside this folder, except for its own modules."""
    global OPENED  # noqa: PLW0603
    if not getattr(sys, "imgloc_watches", False):
        sys.addaudithook(_hook)  # cannot be removed; it records only inside this function
        sys.imgloc_watches = True  # type: ignore[attr-defined]
    root = Path(os.path.realpath(folder))
    OPENED = []
    try:
        yield
        opened = [Path(os.path.realpath(name)) for name in OPENED]
    finally:
        OPENED = None
    assert opened, "no file was opened"
    outside = [path for path in opened if not path.is_relative_to(root) and path.suffix not in (".py", ".pyc", ".so")]
    modules = (sys.base_prefix, *imgloc.__path__)
    assert not [path for path in outside if not any(path.is_relative_to(folder) for folder in modules)], outside


def damaged(*samples: str) -> st.SearchStrategy[bytes]:
    """Draws any bytes, and samples in which pieces are deleted or replaced by input that parsers may fail on."""
    pieces = st.sampled_from((
        b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b",", b'"', b": ", b"- ", b"\xe2\x80\xa8", b"\\ud800", b"true", b"null", b"[]",
        b"{}", b"nan", b"inf", b"-1", b"1.5", b"1e400", b"9" * 5000, b"../../../../etc/passwd", b"/etc/passwd", b"C:\\a.jpg",
        b"[" * 1500, b"{" * 50, b'{"a":' * 3000, b"<a>" * 3000, b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"&b;",
        b"&a [*a, *a]", b"<<: *a",
    ))  # fmt: skip
    edits = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 60), pieces), min_size=1, max_size=4)

    def edited(sample: str, changes: list[tuple[int, int, bytes]]) -> bytes:
        content = sample.encode()
        for position, length, piece in changes:
            at = position % (len(content) + 1)
            content = content[:at] + piece + content[at + length :]
        return content

    return st.one_of(st.binary(max_size=200), st.builds(edited, st.sampled_from(samples), edits))
