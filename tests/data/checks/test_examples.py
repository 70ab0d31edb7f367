from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from imgloc.data.checks import examples as check_examples
from imgloc.data.checks.examples import check_sources
from imgloc.data.sources import scattered_digits
from imgloc.errors import UnreadableImage
from imgloc.types import Example, Info


@dataclass(frozen=True)
class Listed:
    """A source of given examples, or of errors that it raises."""

    examples: tuple[Any, ...]
    fingerprint: str = ""
    groups: frozenset[str] = frozenset()

    @property
    def info(self) -> Info:
        return Info(("a", "b"), 3)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        item = self.examples[index]
        if isinstance(item, Exception):
            raise item
        example: Example = item
        return example


def example(name: str, box: Any = (0.1, 0.2, 0.5, 0.9), **others: Any) -> Example:
    """Returns a valid example, except for the given fields; the image depends on the name."""
    seed = int.from_bytes(name.encode()[:4])
    values: dict[str, Any] = {
        "image_hxwxc": np.random.default_rng(seed).integers(0, 256, (8, 9, 3)).astype(np.uint8),
        "boxes_nx4": np.array(box, np.float32).reshape(-1, 4), "labels_n": np.zeros(np.size(box) // 4, np.int32),
        "label": 0, "id": name, "group": name,
    }  # fmt: skip
    return Example(**{**values, **others})


VALID = tuple(example(name) for name in ("one", "two"))


def test_valid_examples_have_no_faults() -> None:
    findings = check_sources({"train": Listed(VALID), "test": Listed((example("three"), example("four", box=(0, 0, 1, 1))))})
    assert findings.faults == ()
    assert findings.images == 4


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (UnreadableImage("gone.jpg: the file is empty"), "unreadable_image"),
        (UnreadableImage("plain.jpg: it has neither class nor box", kind="unboxed_image"), "unboxed_image"),
        (KeyError("label"), "bad_example"),
        (example("bad", image_hxwxc=np.zeros((8, 8, 3), np.float32)), "bad_example"),
        (example("bad", image_hxwxc=np.zeros((8, 8), np.uint8)), "bad_example"),
        (example("bad", image_hxwxc=np.zeros((0, 8, 3), np.uint8)), "bad_example"),
        (example("bad", boxes_nx4=np.zeros((1, 5), np.float32)), "bad_example"),
        (example("bad", labels_n=np.zeros(3, np.int32)), "bad_example"),
        (example("bad", box=(0.1, np.nan, 0.5, 0.9)), "bad_example"),
        (example("bad", box=(10, 20, 50, 90)), "pixel_box"),
        (example("bad", box=(0.5, 0.2, 0.1, 0.9)), "inverted_box"),
        (example("bad", box=(0.5, 0.2, 0.5, 0.9)), "empty_box"),
        (example("bad", box=(0.5, 0.2, 1.1, 0.9)), "outside_box"),
        (example("bad", box=[(0.1, 0.2, 0.5, 0.9)] * 2), "duplicate_box"),
        (example("bad", box=()), "unboxed_image"),
        (example("bad", label=2), "bad_label"),
        (example("bad", labels_n=np.array([-1])), "bad_label"),
        (example("bad", id="one"), "duplicate_id"),
        (example("bad", group="last"), "shared_group"),
        (example("bad", image_hxwxc=VALID[0].image_hxwxc), "repeated_image"),
        (example("bad", image_hxwxc=example("last").image_hxwxc), "duplicate_image"),
    ],
)
def test_each_fault_of_an_example_is_reported(bad: Any, kind: str) -> None:
    findings = check_sources({"train": Listed((*VALID, bad)), "test": Listed((example("last"),))})
    assert [fault.kind for fault in findings.faults] == [kind]
    text = f"{findings.faults[0].where} {findings.faults[0].what}"
    assert "bad" in text or "example 2" in text or (kind == "duplicate_id" and "train: one" in text)


def test_a_source_of_the_package_has_no_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgloc.data.batches.pipeline.SAMPLE", 40)
    assert check_sources({"train": scattered_digits.source("train", seed=0)}).faults == ()


def test_all_examples_are_checked_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_examples, "CHUNK", 3)
    names = [f"example {i}" for i in range(7)]
    again = Listed((*(example(name, id=name, image_hxwxc=np.full((8, 9, 3), i, np.uint8)) for i, name in enumerate(names)), example("one")))
    findings = check_sources({"train": again, "test": Listed((example("one"),))})
    assert [(fault.kind, fault.where) for fault in findings.faults] == [("duplicate_image", "test: one"), ("shared_group", "test: one")]
    assert findings.images == 9
