"""Fixations of a model with attention: from its outputs to rows, to saved partial predictions, to scores."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc import files
from imgloc.cli import main
from imgloc.cli.evaluate import print_table
from imgloc.config import schema
from imgloc.devices import mesh
from imgloc.evaluation import scoring as scores
from imgloc.evaluation.evaluate import Evaluation, _is_current
from imgloc.evaluation.predictors import baselines
from imgloc.evaluation.statistics import Interval
from imgloc.evaluation.target import Target
from imgloc.inference import predict
from imgloc.models import ram
from imgloc.reporting.page import write_report
from imgloc.runs import partial_predictions, prediction_table, run_dir
from imgloc.tasks import classify, localize
from imgloc.types import Example, Info, InputSpec
from tests import processes
from tests.inference.trained import trained_model

RECIPE = """
from ml_collections import ConfigDict
from imgloc.config.schema import base

def get_config():
    config = base()
    config.model.update(name="ram", glimpses=3, size=8, scales=2, units=8, glimpse_hidden=8, locate=True)
    for name in ("cross_entropy", "box_l1", "reinforce"):
        config.losses[name] = ConfigDict({"weight": 1.0})
    config.train.update(steps=4, eval_every=4, save_every=4, batch_size=8, best_metric="pointing_accuracy")
    config.eval.update(bootstrap_samples=20, gallery=2)
    return config
"""
FIXATIONS = np.array([[0.5, 0.5, 0.75, 0.75], [-0.25, 0, 0.25, 1 / 3]], np.float32)
LOCALIZE, CLASSIFY = localize.TASK, classify.TASK
WIDE = Example(np.zeros((20, 40, 1), np.uint8), np.array([[0.5, 0.5, 0.75, 1.0]], np.float32), np.zeros(1, np.int32), 0, "wide", "wide")


class Listed(tuple[Example, ...]):
    """Examples as a source."""

    info, fingerprint, groups = Info(("a", "b"), 1), "listed", frozenset[str]()


def two_fixations(variables: Any, images: Any) -> dict[str, Any]:
    """Outputs as a compiled model gives them."""
    b = len(images)
    box, fixations = (jnp.asarray(np.repeat(value[None], b, axis=0)) for value in (FIXATIONS[0], FIXATIONS))
    return {"logits": jnp.zeros((b, 2)), "box": box, "fixations": fixations}


def test_windows_in_rows_and_steps_are_of_the_image_and_keep_their_centres() -> None:
    """A wide image fills rows 1/4 to 3/4 of what the model sees."""
    spec, devices = InputSpec((32, 32, 1), 1, "letterbox"), mesh.make_mesh(jax.local_devices()[:1])
    model = predict.model_predict(None, two_fixations, devices)
    (row,) = predict.predict_rows({"a": model}, Listed((WIDE,)), LOCALIZE, "test", batch_size=1, spec=spec, threads=1)["a"]
    expected = [[0.5, 0.5, 0.75, 1.0], [-0.25, -0.5, 0.25, 0.16667]]
    assert row["fixations"] == expected
    np.testing.assert_allclose(row["pred_box"], expected[0], atol=1e-6)

    def steps(variables: Any, images: Any) -> dict[str, Any]:
        outputs = two_fixations(variables, images)
        return {**outputs, "logits": jnp.zeros((1, 2, 2)), "box": outputs["fixations"], "seen": jnp.ones((1, 2, 1, 1))}

    ((found, content_4),) = predict.partial_predictions(steps, LOCALIZE, None, devices, [WIDE], spec)
    kept = partial_predictions.summarize("wide", "chosen", found, content_4, 0)
    assert [list(window) for window in kept.fixations] == expected
    np.testing.assert_allclose(kept.boxes[1], [0, 0, 0.25, 0.16667], atol=1e-5, err_msg="a box ends with the image")


def scoring(model: Any, folder: Path) -> Evaluation:
    meta = {"config": "c", "checkpoint": "best", "step": 1, "data": "d", "split": "test", "fields": None}
    nothing: Any = None
    trained = trained_model(model, InputSpec((16, 16, 1)), ("a", "b", "c"))
    return Evaluation(run_dir.RunDir(folder), schema.base(), Target("test", nothing), trained, meta)


def test_rows_of_another_answer_under_the_same_name_are_made_again(tmp_path: Path) -> None:
    """Drawn paths first, then the model as it was trained; and rows that lack outputs which the model has."""
    as_trained = scoring(ram.Model(num_classes=3, **ram.TINY), tmp_path)
    old: list[dict[str, Any]] = [{"id": "a", "label": 0, "top_labels": [0], "boxes": []}]
    outputs = ["fixations", "logits"]
    for changed, current in (({"fields": {"num_rollouts": 3}}, False), ({"outputs": ["logits"]}, False), ({}, True)):
        prediction_table.write_rows(tmp_path / "rows" / "test.jsonl", old, {**as_trained.meta, "outputs": outputs, **changed})
        assert _is_current(as_trained, "model") == current
    prediction_table.write_rows(tmp_path / "rows" / "test.median_box.jsonl", old, as_trained.meta)
    assert _is_current(as_trained, "median_box"), "a baseline has no outputs of the model"


def test_a_models_windows_are_the_same_in_rows_and_step_by_step() -> None:
    model = ram.Model(num_classes=2, glimpses=2, size=4, units=4, glimpse_hidden=4)
    spec, devices = InputSpec((8, 16, 1)), mesh.make_mesh(jax.local_devices()[:1])
    rng = np.random.default_rng(0)
    examples = [dataclasses.replace(WIDE, image_hxwxc=rng.integers(0, 255, (8, 16, 1), np.uint8), id=str(i)) for i in range(4)]
    shapes = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), np.zeros((1, 8, 16, 1), np.float32))
    variables = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)
    around = predict.model_predict(variables, predict.compiled_predict(model, CLASSIFY, devices, np.float32), devices)
    source, make_rows = Listed(tuple(examples)), CLASSIFY
    found = predict.predict_rows({"a": around}, source, make_rows, "test", batch_size=4, spec=spec, threads=1)["a"]
    fixations_nxgx4 = np.array([row["fixations"] for row in found])
    assert fixations_nxgx4.shape == (4, 2, 4)
    np.testing.assert_allclose(fixations_nxgx4[..., 2:] - fixations_nxgx4[..., :2], np.broadcast_to([4 / 16, 4 / 8], (4, 2, 2)), atol=1e-5)
    assert np.ptp(fixations_nxgx4[:, 0], axis=0).min() > 0.1, "the first place is each picture's own"
    steps = predict.partial_predictions(
        predict.compiled_partial_predictions(model, devices, np.float32), CLASSIFY, variables, devices, examples, spec
    )
    kept = [
        partial_predictions.summarize(row["id"], "best", of_one, content_4, 0)
        for row, (of_one, content_4) in zip(found, steps, strict=True)
    ]
    assert [[list(window) for window in one.fixations] for one in kept] == [row["fixations"] for row in found]
    assert set(scores.means(found)) == {"top1", "calibration_error", "pointing_accuracy", "last_fixation_iou", "fixation_accuracy"}


def test_the_printed_table_has_a_column_for_each_predictor(capsys: pytest.CaptureFixture[str]) -> None:
    one = Interval(mean=0.5, low=0.25, high=0.75, n=4)
    print_table({"model": {"top1": one, "pointing_accuracy": one}, "majority_class": {"top1": one}}, classify.TASK, baselines("classify"))
    printed = " ".join(capsys.readouterr().out.split())
    assert "metric this run most frequent class" in printed
    assert "top1 0.500 [0.250, 0.750] 0.500 [0.250, 0.750] pointing_accuracy 0.500 [0.250, 0.750] value" in printed, "no baseline has it"
    assert "top1: share of images whose predicted class is correct" in printed


@pytest.mark.slow
def test_a_run_that_looks_around_is_scored_and_shown_by_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.py").write_text(RECIPE)
    workdir = tmp_path / "run"
    processes.train_here(f"--config={tmp_path / 'recipe.py'}", workdir=workdir)
    assert main.main(["evaluate", str(workdir), "--split=validation"]) == 0
    assert "pointing_accuracy" in capsys.readouterr().out
    run = run_dir.RunDir(workdir)
    meta = prediction_table.read_meta(run.rows("validation")) or {}
    table = {row["id"]: row for row in prediction_table.read_rows(run.rows("validation"), expected=meta)}
    assert meta["outputs"] == ["box", "logits", "fixations"]
    fixations_nxgx4 = np.array([row["fixations"] for row in table.values()])
    assert fixations_nxgx4.shape == (800, 3, 4)
    np.testing.assert_allclose(fixations_nxgx4[..., 2:] - fixations_nxgx4[..., :2], 8 / 64, atol=2e-5, err_msg="8 of 64 pixels")
    assert np.ptp(fixations_nxgx4[:, 0], axis=0).min() > 0.5, "the first place is each picture's own"
    results = files.read_json(run.results)
    hits = [_hits(row) for row in table.values()]
    assert results["validation"]["pointing_accuracy"]["mean"] == pytest.approx(np.mean(hits), abs=1e-9)
    assert not {"pointing_accuracy", "fixation_accuracy"} & set(results["validation/median_box"])
    kept = partial_predictions.read(run, "validation", meta)
    assert len(kept) >= 4
    assert all([list(window) for window in partial.fixations] == table[partial.id]["fixations"] for partial in kept)
    words = write_report([str(workdir)], tmp_path / "report.html", split="validation", pictures=tmp_path / "p").read_text()
    assert "Pointing accuracy" in words
    assert len(list((tmp_path / "p").iterdir())) == len(kept)
    capsys.readouterr()
    picture = str(next(run.thumbnails("validation").iterdir()))
    assert main.main(["locate", str(workdir), picture, "--partial-predictions", str(tmp_path / "own")]) == 0
    assert "its last fixation is at" in Path(json.loads(capsys.readouterr().out)["partial_predictions"]).read_text()


def _hits(row: dict[str, Any]) -> bool:
    x0, y0, x1, y1 = row["fixations"][-1]
    return any(a <= (x0 + x1) / 2 <= c and b <= (y0 + y1) / 2 <= d for a, b, c, d in row["boxes"])
