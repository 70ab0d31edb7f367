"""Annotation files that are cut, or have values of other types: what a format's reader must do with them."""

from __future__ import annotations

import copy
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from imgloc.data.annotated.annotations import AnnotatedFolder
from imgloc.data.checks.faults import KINDS
from imgloc.errors import UserError
from tests.picture_folders import nothing_opened_outside, put, touch

JUNK: tuple[Any, ...] = (
    None, True, -1, 10**400, 1e300, float("nan"), float("inf"), "", "x", "../../etc/passwd", "\ud800", "a\nb", [], [[]], {}, {"a": {}},
    [1, 2, 3, 4, 5], json.loads("[" * 200 + "]" * 200),
)  # fmt: skip


def read(module: ModuleType, folder: Path) -> AnnotatedFolder | None:
    """Reads a folder; None if it is refused in one line. Faults are of known kinds, on one line, and boxes are finite."""
    try:
        module.recognise(folder)
        annotated: AnnotatedFolder = module.read(folder)
    except UserError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message
    assert len(message) < 1000
    if message:
        return None
    for fault in annotated.faults:
        assert fault.kind in KINDS
        assert "\n" not in fault.what + fault.where
        fault.what.encode()
    for entry in annotated.images:
        assert np.isfinite(entry.boxes_nx4).all()
        assert len(entry.names) == len(entry.boxes_nx4)
        assert set(entry.names) - {""} <= set(annotated.classes)
    return annotated


def boxes_of(annotated: AnnotatedFolder) -> Counter[tuple[str, str, tuple[float, ...]]]:
    return Counter(
        (entry.file, name, tuple(box))
        for entry in annotated.images
        for name, box in zip(entry.names, entry.boxes_nx4.tolist(), strict=True)
    )


def assert_cuts_are_safe(module: ModuleType, folder: Path, name: str, *, lines: bool = False) -> None:
    """Every beginning of a file gives boxes of the whole file, and a fault if some are missing; `lines`: but for whole lines."""
    content = (folder / name).read_bytes()
    whole = boxes_of(module.read(folder))
    assert whole
    seen = 0
    for end in range(len(content)):
        (folder / name).write_bytes(content[:end])
        annotated = read(module, folder)
        if annotated is None:
            continue
        found = boxes_of(annotated)
        assert found <= whole, (end, found - whole)
        assert found == whole or annotated.faults or lines or not module.recognise(folder), end
        seen += bool(annotated.faults)
    assert seen
    (folder / name).write_bytes(content)


def changes(value: Any) -> Iterator[Any]:
    """Yields copies of a JSON value in which one value, at any depth, is another one or is missing."""
    paths: list[tuple[Any, ...]] = [()]
    for path in paths:
        node = value
        for key in path:
            node = node[key]
        paths += [(*path, key) for key in (node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ())]
    for path in paths[1:]:
        for junk in (*JUNK, KeyError):
            changed = copy.deepcopy(value)
            node = changed
            for key in path[:-1]:
                node = node[key]
            if junk is KeyError:
                del node[path[-1]]
            else:
                node[path[-1]] = junk
            yield changed
    yield from JUNK


def assert_types_are_safe(module: ModuleType, name: str, value: Any, *images: str, lines: bool = False) -> None:
    """A file in which any value is replaced by one of another type is read, or refused in one line."""
    count = 0
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        touch(folder, *images)
        for changed in changes(value):
            text = "\n".join(map(json.dumps, changed)) if lines and isinstance(changed, list) else json.dumps(changed)
            (folder / name).write_text(text)
            annotated = read(module, folder)
            count += annotated is not None
    assert count > 50


def assert_damage_is_safe(module: ModuleType, name: str, content: bytes, **others: str) -> None:
    """A damaged file, beside the image a.jpg and other files, is read or refused, and no file outside the folder is opened."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        touch(folder, "a.jpg")
        put(folder, **{**others, name: content})
        with nothing_opened_outside(folder):
            read(module, folder)
