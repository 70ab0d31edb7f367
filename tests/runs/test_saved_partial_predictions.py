"""Saved partial predictions: small files that keep the outputs; damaged and outdated files are ignored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from imgloc.runs import partial_predictions
from imgloc.runs.partial_predictions import SavedPartialPredictions, summarize
from imgloc.runs.run_dir import RunDir
from tests.refusals import assert_refused

MADE_OF = {"config": "c0", "checkpoint": "best", "step": 5, "data": "d0", "split": "test"}
WHOLE = np.array([0.0, 0.0, 1.0, 1.0])


def outputs(s: int = 4, k: int = 20) -> dict[str, Any]:
    """Partial predictions over a grid of 8 rows and 6 columns; each step reads two rows."""
    rng = np.random.default_rng(0)
    seen = np.repeat(np.tril(np.ones((s, 4))), 2, axis=1)[:, :, None] * np.ones(6)
    partial = {"logits": 3 * rng.standard_normal((s, k)).astype(np.float32), "box": rng.random((s, 4), np.float32), "seen": seen}
    return {**partial, "fixations": 2 * rng.random((s, 4), np.float32) - 0.5}


def test_the_summary_has_the_values_of_the_outputs() -> None:
    partial = outputs()
    summary = summarize("a/1", "best", partial, WHOLE, label=7)
    exponent = np.exp(partial["logits"].astype(np.float64))
    probabilities = exponent / exponent.sum(axis=-1, keepdims=True)
    assert len(summary.labels) == partial_predictions.BARS
    assert {7, probabilities[-1].argmax()} <= set(summary.labels)
    assert list(probabilities[-1, summary.labels]) == sorted(probabilities[-1, summary.labels], reverse=True)
    np.testing.assert_allclose(summary.probabilities, probabilities[:, summary.labels], atol=1e-4)
    assert summary.top_labels == probabilities.argmax(axis=-1).tolist()
    np.testing.assert_allclose(summary.top_scores, probabilities.max(axis=-1), atol=1e-4)
    np.testing.assert_allclose(summary.boxes, partial["box"], atol=1e-5)
    np.testing.assert_allclose(summary.fixations, partial["fixations"], atol=1e-5)


def test_equal_rows_and_columns_of_the_grid_are_merged() -> None:
    summary = summarize("a", "best", outputs(), WHOLE, 0)
    assert (summary.x, summary.y) == ([0, 6], [0, 2, 4, 6, 8])
    assert summary.seen == ["9000", "9900", "9990", "9999"]
    both = outputs(s=2)
    both["seen"] = np.stack([np.full((8, 6), 0.5), np.arange(6) / 5 * np.ones((8, 1))])
    summary = summarize("a", "best", both, WHOLE, 0)
    assert (summary.x, summary.y, summary.seen) == (list(range(7)), [0, 8], ["444444", "024579"])


def test_few_classes_and_no_boxes(tmp_path: Path) -> None:
    partial = outputs(k=2)
    del partial["box"], partial["fixations"]
    summary = summarize("a", "best", partial, WHOLE, label=-1)  # an image whose class is not known
    assert sorted(summary.labels) == [0, 1]
    assert summary.boxes == []
    assert summary.fixations == []


def test_detected_objects_are_kept_with_the_step_that_names_them() -> None:
    scores = np.array([0.9, 0.1, 0.6, 0.7])
    named = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    partial = {"scores": scores * named, "labels": np.array([5, 2, 5, 3]) * named, "seen": np.ones((3, 1, 1))}
    partial["boxes"] = np.arange(16).reshape(4, 4) / 16 * named[:, :, None]
    summary = summarize("a", "best", partial, WHOLE, -1, least_score=0.5)
    assert summary.labels == [5, 5, 3]
    assert summary.probabilities == [[0.9, 0, 0], [0.9, 0, 0], [0.9, 0.6, 0.7]]
    assert summary.top_labels == [5, partial_predictions.NO_OBJECT, 5]
    assert summary.top_scores == [0.9, 0, 0.6]
    np.testing.assert_allclose(summary.objects, partial["boxes"][-1, [0, 2, 3]], atol=1e-5)
    nothing = summarize("a", "best", partial, WHOLE, -1, least_score=0.95)
    assert (nothing.labels, nothing.objects, nothing.top_labels) == ([], [], [partial_predictions.NO_OBJECT] * 3)
    assert_refused(lambda: summarize("a", "best", {**partial, "scores": scores * np.nan}, WHOLE, -1), "NaN", "scores")


def saved(tmp_path: Path) -> tuple[RunDir, SavedPartialPredictions]:
    run, partial = RunDir(tmp_path), summarize("a/b, 1", "chosen", outputs(), WHOLE, 3)
    partial_predictions.write(run, "test", partial, b"png", MADE_OF)
    return run, partial


def test_they_are_read_as_written_and_not_for_other_rows(tmp_path: Path) -> None:
    run, partial = saved(tmp_path)
    path = partial_predictions.path_of(run, "test", partial.id)
    assert path.parent == tmp_path / "partial_predictions" / "test"
    assert path.with_suffix(".png").read_bytes() == b"png"
    assert path.stat().st_size < 4000
    expected = [msgspec.structs.replace(partial, made_of=MADE_OF)]
    assert partial_predictions.read(run, "test", {**MADE_OF, "command": "imgloc evaluate"}) == expected
    for key in ("config", "checkpoint", "step", "data"):
        assert partial_predictions.read(run, "test", {**MADE_OF, key: "another"}) == []
    assert partial_predictions.read(run, "validation", MADE_OF) == []


@pytest.mark.parametrize(
    "damage",
    [{"seen": ["9000"]}, {"seen": ["900"] * 4}, {"seen": ["900x"] * 4}, {"boxes": [[0, 0, 1]] * 4}, {"probabilities": []},
     {"content": 3}, {"more": 1}, {"x": []}, {"x": [0, 0]}, {"seen": []}, {"made_of": None}, {"id": "another"}, {"id": []},
     {"content": [0, 0, 0, 1]}, {"fixations": [[0, 0, 1]] * 4}, {"fixations": [[0, 0, 1, 1]]}, {"fixations": [["0", 0, 1, 1]] * 4},
     {"fixations": [[0, 0, 1, 1e999]] * 4}, {"fixations": None}, {"objects": [[0, 0, 1, 1]]},
     {"top_labels": ["3"] * 4}, {"top_scores": ["</svg>"] * 4}, {"top_scores": [1e999] * 4}, {"why": {}}],
)  # fmt: skip
@pytest.mark.parametrize("checksums", [True, False])
def test_damaged_files_are_refused_or_of_other_rows(tmp_path: Path, damage: dict[str, Any], checksums: bool) -> None:
    run, partial = saved(tmp_path)
    path = partial_predictions.path_of(run, "test", partial.id)
    path.write_text(json.dumps({**msgspec.to_builtins(partial), "made_of": MADE_OF, **damage}))
    if not checksums:
        (path.parent / "checksums").unlink()
    if not checksums and damage == {"id": "another"}:
        assert partial_predictions.read(run, "test", MADE_OF) == []
    else:
        assert_refused(lambda: partial_predictions.read(run, "test", MADE_OF), path.name, "run: imgloc evaluate")
    path.write_text(path.read_text()[:100])
    assert_refused(lambda: partial_predictions.read(run, "test", MADE_OF), path.name, "run: imgloc evaluate")


def test_a_file_that_was_added_and_damaged_checksums_are_refused_by_report_and_evaluate_alike(tmp_path: Path) -> None:
    run, _ = saved(tmp_path)
    folder = partial_predictions.folder(run, "test")
    (folder / "added.json").write_text("{}")
    assert_refused(lambda: partial_predictions.check_files(run, "test"), "added.json", "remove that folder")
    (folder / "added.json").unlink()
    (folder / "checksums").write_text("[")
    assert_refused(lambda: partial_predictions.check_files(run, "test"), "checksums' is damaged", "run: imgloc evaluate")


def test_a_file_that_was_removed_is_missed(tmp_path: Path) -> None:
    run, partial = saved(tmp_path)
    partial_predictions.write(run, "test", msgspec.structs.replace(partial, id="b"), b"png", MADE_OF)
    assert len(partial_predictions.read(run, "test", MADE_OF)) == 2
    path = partial_predictions.path_of(run, "test", "b")
    for each in (path, path.with_suffix(".png")):
        content = each.read_bytes()
        each.unlink()
        assert_refused(lambda: partial_predictions.check_files(run, "test"), "is missing", each.name)
        each.write_bytes(content)
    partial_predictions.check_files(run, "test")


def test_a_file_without_fixations_has_none(tmp_path: Path) -> None:
    run, partial = saved(tmp_path)
    path = partial_predictions.path_of(run, "test", partial.id)
    (path.parent / "checksums").unlink()  # an earlier version wrote none
    old = {**msgspec.to_builtins(partial), "made_of": MADE_OF}
    del old["fixations"]
    path.write_text(json.dumps(old))
    assert partial_predictions.read(run, "test", MADE_OF) == [msgspec.structs.replace(partial, fixations=[], made_of=MADE_OF)]


def test_markup_among_the_edges_never_reaches_a_page(tmp_path: Path) -> None:
    run, partial = saved(tmp_path)
    path = partial_predictions.path_of(run, "test", partial.id)
    for edges in (['0"/><script>alert(1)</script>', *partial.x[1:]], [1, *partial.x[1:]], [*partial.x[:-1], 0]):
        path.write_text(json.dumps({**msgspec.to_builtins(partial), "made_of": MADE_OF, "x": edges}))
        (path.parent / "checksums").unlink(missing_ok=True)
        assert_refused(lambda: partial_predictions.read(run, "test", MADE_OF), "is damaged")


@pytest.mark.parametrize("name", ["logits", "box", "fixations", "seen"])
def test_nan_and_infinity_are_refused(name: str) -> None:
    partial = outputs()
    partial[name] = np.where(np.arange(partial[name].size).reshape(partial[name].shape) == 1, np.nan, partial[name])
    assert_refused(lambda: summarize("a", "best", partial, WHOLE, 3), "for 'a' contain NaN or infinity", f"partial_predictions/{name}")


def test_a_logit_of_minus_infinity_is_probability_0() -> None:
    partial = outputs()
    partial["logits"][:, 0] = -np.inf
    summary = summarize("a", "best", partial, WHOLE, 0)
    assert {row[summary.labels.index(0)] for row in summary.probabilities} == {0.0}
