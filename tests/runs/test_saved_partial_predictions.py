"""Steps as they are saved: small, true to the outputs, and none where they are damaged or of something else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgloc.runs import partial_predictions
from imgloc.runs.partial_predictions import SavedPartialPredictions, summarized
from imgloc.runs.run_dir import RunDir
from tests.refusals import assert_refused

MADE_OF = {"config": "c0", "checkpoint": "best", "step": 5, "data": "d0", "split": "test"}
WHOLE = np.array([0.0, 0.0, 1.0, 1.0])


def outputs(s: int = 4, k: int = 20) -> dict[str, Any]:
    """Steps over a grid of 8 rows and 6 columns, two rows a step."""
    rng = np.random.default_rng(0)
    seen = np.repeat(np.tril(np.ones((s, 4))), 2, axis=1)[:, :, None] * np.ones(6)
    found = {"logits": 3 * rng.standard_normal((s, k)).astype(np.float32), "box": rng.random((s, 4), np.float32), "seen": seen}
    return {**found, "looks": 2 * rng.random((s, 4), np.float32) - 0.5}


def test_what_is_kept_is_what_the_outputs_say() -> None:
    given = outputs()
    kept = summarized("a/1", "best", given, WHOLE, label=7)
    exponent = np.exp(given["logits"].astype(np.float64))
    probabilities = exponent / exponent.sum(axis=-1, keepdims=True)
    assert len(kept.labels) == partial_predictions.BARS
    assert {7, probabilities[-1].argmax()} <= set(kept.labels)
    assert list(probabilities[-1, kept.labels]) == sorted(probabilities[-1, kept.labels], reverse=True)
    np.testing.assert_allclose(kept.probabilities, probabilities[:, kept.labels], atol=1e-4)
    assert kept.top_labels == probabilities.argmax(axis=-1).tolist()
    np.testing.assert_allclose(kept.top_scores, probabilities.max(axis=-1), atol=1e-4)
    np.testing.assert_allclose(kept.boxes, given["box"], atol=1e-5)
    np.testing.assert_allclose(kept.looks, given["looks"], atol=1e-5)


def test_equal_rows_and_columns_of_the_grid_are_one() -> None:
    kept = summarized("a", "best", outputs(), WHOLE, 0)
    assert (kept.x, kept.y) == ([0, 6], [0, 2, 4, 6, 8])
    assert kept.seen == ["9000", "9900", "9990", "9999"]
    both = outputs(s=2)
    both["seen"] = np.stack([np.full((8, 6), 0.5), np.arange(6) / 5 * np.ones((8, 1))])
    kept = summarized("a", "best", both, WHOLE, 0)
    assert (kept.x, kept.y, kept.seen) == (list(range(7)), [0, 8], ["444444", "024579"])


def test_few_classes_and_no_boxes(tmp_path: Path) -> None:
    given = outputs(k=2)
    del given["box"], given["looks"]
    kept = summarized("a", "best", given, WHOLE, label=-1)  # of a picture whose class is not known
    assert sorted(kept.labels) == [0, 1]
    assert kept.boxes == []
    assert kept.looks == []


def saved(tmp_path: Path) -> tuple[RunDir, SavedPartialPredictions]:
    run, steps = RunDir(tmp_path), summarized("a/b, 1", "chosen", outputs(), WHOLE, 3)
    partial_predictions.write(run, "test", steps, b"png", MADE_OF)
    return run, steps


def test_they_come_back_as_they_were_and_not_for_other_rows(tmp_path: Path) -> None:
    run, steps = saved(tmp_path)
    path = partial_predictions.path_of(run, "test", steps.id)
    assert path.parent == tmp_path / "steps" / "test"
    assert path.with_suffix(".png").read_bytes() == b"png"
    assert path.stat().st_size < 4000
    assert partial_predictions.read(run, "test", {**MADE_OF, "command": "imgloc evaluate"}) == [steps]
    for key in ("config", "checkpoint", "step", "data"):
        assert partial_predictions.read(run, "test", {**MADE_OF, key: "another"}) == []
    assert partial_predictions.read(run, "validation", MADE_OF) == []


@pytest.mark.parametrize(
    "damage",
    [{"seen": ["9000"]}, {"seen": ["900"] * 4}, {"seen": ["900x"] * 4}, {"boxes": [[0, 0, 1]] * 4}, {"probabilities": []},
     {"content": 3}, {"more": 1}, {"x": []}, {"x": [0, 0]}, {"seen": []}, {"made_of": None}, {"id": "another"}, {"id": []},
     {"content": [0, 0, 0, 1]}, {"looks": [[0, 0, 1]] * 4}, {"looks": [[0, 0, 1, 1]]}, {"looks": [["0", 0, 1, 1]] * 4},
     {"looks": [[0, 0, 1, 1e999]] * 4}, {"looks": None},
     {"top_labels": ["3"] * 4}, {"top_scores": ["</svg>"] * 4}, {"top_scores": [1e999] * 4}, {"why": {}}],
)  # fmt: skip
def test_damaged_ones_are_none(tmp_path: Path, damage: dict[str, Any]) -> None:
    run, steps = saved(tmp_path)
    path = partial_predictions.path_of(run, "test", steps.id)
    path.write_text(json.dumps({"made_of": MADE_OF, **dataclasses.asdict(steps), **damage}))
    assert partial_predictions.read(run, "test", MADE_OF) == []
    path.write_text(path.read_text()[:100])
    assert partial_predictions.read(run, "test", MADE_OF) == []


def test_a_file_from_before_windows_were_kept_has_none(tmp_path: Path) -> None:
    run, steps = saved(tmp_path)
    path = partial_predictions.path_of(run, "test", steps.id)
    old = {"made_of": MADE_OF, **dataclasses.asdict(steps)}
    del old["looks"]
    path.write_text(json.dumps(old))
    assert partial_predictions.read(run, "test", MADE_OF) == [dataclasses.replace(steps, looks=[])]


def test_markup_among_the_edges_never_reaches_a_page(tmp_path: Path) -> None:
    run, steps = saved(tmp_path)
    path = partial_predictions.path_of(run, "test", steps.id)
    for edges in (['0"/><script>alert(1)</script>', *steps.x[1:]], [1, *steps.x[1:]], [*steps.x[:-1], 0]):
        path.write_text(json.dumps({"made_of": MADE_OF, **dataclasses.asdict(steps), "x": edges}))
        assert partial_predictions.read(run, "test", MADE_OF) == []


@pytest.mark.parametrize("name", ["logits", "box", "looks", "seen"])
def test_what_is_no_number_is_told(name: str) -> None:
    given = outputs()
    given[name] = np.where(np.arange(given[name].size).reshape(given[name].shape) == 1, np.nan, given[name])
    assert_refused(lambda: summarized("a", "best", given, WHOLE, 3), "for 'a' are no numbers", f"steps/{name}")


def test_a_class_that_cannot_be_is_one_with_probability_0() -> None:
    given = outputs()
    given["logits"][:, 0] = -np.inf
    kept = summarized("a", "best", given, WHOLE, 0)
    assert {row[kept.labels.index(0)] for row in kept.probabilities} == {0.0}
