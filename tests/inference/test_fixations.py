"""Windows that a model looks through: from its outputs to rows, to saved steps, to scores."""

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
from imgloc.config import build, schema
from imgloc.devices import mesh
from imgloc.evaluation import scoring as scores
from imgloc.evaluation.evaluate import _is_current
from imgloc.evaluation.evaluate import Scoring
from imgloc.evaluation.target import Target
from imgloc.evaluation.statistics import Interval
from imgloc.inference import predict
from imgloc.models import ram, three_layer_cnn
from imgloc.report.page import write_report
from imgloc.runs import partial_predictions, prediction_table, run_dir
from imgloc.types import Example, Info, InputSpec
from tests import processes

RECIPE = """
from ml_collections import ConfigDict
from imgloc.config.schema import base

def get_config():
    config = base()
    config.model.update(name="ram", glimpses=3, size=8, scales=2, units=8, sensed=8, locate=True)
    for name in ("cross_entropy", "box_l1", "reinforce"):
        config.losses[name] = ConfigDict({"weight": 1.0})
    config.train.update(steps=4, eval_every=4, save_every=4, batch_size=8, best_metric="last_look_hit")
    config.eval.update(resamples=20, gallery=2)
    return config
"""
LOOKS = np.array([[0.5, 0.5, 0.75, 0.75], [-0.25, 0, 0.25, 1 / 3]], np.float32)
WIDE = Example(np.zeros((20, 40, 1), np.uint8), np.array([[0.5, 0.5, 0.75, 1.0]], np.float32), np.zeros(1, np.int32), 0, "wide", "wide")


class Listed(tuple[Example, ...]):
    """Examples as a source."""

    info, fingerprint, groups = Info(("a", "b"), 1), "listed", frozenset[str]()


def looks_twice(variables: Any, images: Any) -> dict[str, Any]:
    """Outputs as a compiled model gives them."""
    b = len(images)
    box, looks = (jnp.asarray(np.repeat(value[None], b, axis=0)) for value in (LOOKS[0], LOOKS))
    return {"logits": jnp.zeros((b, 2)), "box": box, "looks": looks}


def test_windows_in_rows_and_steps_are_of_the_image_and_keep_their_centres() -> None:
    """A wide image fills rows 1/4 to 3/4 of what the model sees."""
    view, devices = InputSpec((32, 32, 1), 1, "letterbox"), mesh.make_mesh(jax.local_devices()[:1])
    model = predict.model_predict(None, looks_twice, devices)
    (row,) = predict.predict_rows({"a": model}, Listed((WIDE,)), build.make_task("locate"), "test", batch_size=1, view=view, threads=1)["a"]
    wanted = [[0.5, 0.5, 0.75, 1.0], [-0.25, -0.5, 0.25, 0.16667]]
    assert row["looks"] == wanted
    np.testing.assert_allclose(row["pred_box"], wanted[0], atol=1e-6)

    def steps(variables: Any, images: Any) -> dict[str, Any]:
        found = looks_twice(variables, images)
        return {**found, "logits": jnp.zeros((1, 2, 2)), "box": found["looks"], "seen": jnp.ones((1, 2, 1, 1))}

    ((found, content_4),) = predict.steps_of(steps, None, devices, [WIDE], view)
    kept = partial_predictions.summarized("wide", "chosen", found, content_4, 0)
    assert kept.looks == wanted
    np.testing.assert_allclose(kept.boxes[1], [0, 0, 0.25, 0.16667], atol=1e-5, err_msg="a box ends with the image")


def scoring(model: Any, folder: Path) -> Scoring:
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), np.zeros((1, 16, 16, 1), np.float32), train=False))
    nothing: Any = None
    meta = {"config": "c", "checkpoint": "best", "step": 1, "data": "d", "split": "test"}
    return Scoring(run_dir.RunDir(folder), schema.base(), Target("test", nothing), model, variables, InputSpec((16, 16, 1)), meta, nothing)


def test_rows_of_a_version_that_left_windows_out_are_made_again(tmp_path: Path) -> None:
    around = scoring(ram.Model(num_classes=3, **ram.TINY), tmp_path)
    at_once = scoring(three_layer_cnn.Model(num_classes=3, **three_layer_cnn.TINY), tmp_path)
    assert "looks" in around.outputs
    assert "looks" not in at_once.outputs
    old: list[dict[str, Any]] = [{"id": "a", "label": 0, "top_labels": [0], "boxes": []}]
    for outputs, current in (({}, False), ({"outputs": ["logits", "looks"]}, True)):
        for name in ("model", "median_box"):
            prediction_table.write_rows(
                tmp_path / "rows" / ("test.jsonl" if name == "model" else f"test.{name}.jsonl"), old, around.meta | outputs
            )
        assert _is_current(around, "model") == current
        assert _is_current(around, "median_box"), "a baseline looks nowhere"
        assert _is_current(at_once, "model")


def test_rows_of_another_answer_under_the_same_name_are_made_again(tmp_path: Path) -> None:
    """Drawn paths first, then the model as it was trained: no fields then, which is what rows of earlier versions say as well."""
    as_trained = scoring(ram.Model(num_classes=3, **ram.TINY), tmp_path)
    as_trained = dataclasses.replace(as_trained, meta={**as_trained.meta, "fields": None})
    old: list[dict[str, Any]] = [{"id": "a", "label": 0, "top_labels": [0], "boxes": []}]
    without = {key: value for key, value in as_trained.meta.items() if key != "fields"}
    for fields, current in (({"fields": {"draws": 3}}, False), ({}, True)):
        prediction_table.write_rows(tmp_path / "rows" / "test.jsonl", old, {**without, "outputs": ["logits", "looks"], **fields})
        assert _is_current(as_trained, "model") == current


def test_a_models_windows_are_the_same_in_rows_and_step_by_step() -> None:
    model = ram.Model(num_classes=2, glimpses=2, size=4, units=4, sensed=4)
    view, devices = InputSpec((8, 16, 1)), mesh.make_mesh(jax.local_devices()[:1])
    rng = np.random.default_rng(0)
    examples = [dataclasses.replace(WIDE, image_hxwxc=rng.integers(0, 255, (8, 16, 1), np.uint8), id=str(i)) for i in range(4)]
    shapes = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), np.zeros((1, 8, 16, 1), np.float32))
    variables = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)
    around = predict.model_predict(variables, predict.compiled_predict(model, devices, np.float32), devices)
    source, make_rows = Listed(tuple(examples)), build.make_task("classify")
    found = predict.predict_rows({"a": around}, source, make_rows, "test", batch_size=4, view=view, threads=1)["a"]
    looks_nxgx4 = np.array([row["looks"] for row in found])
    assert looks_nxgx4.shape == (4, 2, 4)
    np.testing.assert_allclose(looks_nxgx4[..., 2:] - looks_nxgx4[..., :2], np.broadcast_to([4 / 16, 4 / 8], (4, 2, 2)), atol=1e-5)
    assert np.ptp(looks_nxgx4[:, 0], axis=0).min() > 0.1, "the first place is each picture's own"
    steps = predict.steps_of(predict.compiled_steps(model, devices, np.float32), variables, devices, examples, view)
    kept = [
        partial_predictions.summarized(row["id"], "best", of_one, content_4, 0)
        for row, (of_one, content_4) in zip(found, steps, strict=True)
    ]
    assert [one.looks for one in kept] == [row["looks"] for row in found]
    assert set(scores.means(found)) == {"top1", "last_look_hit", "last_look_iou", "look_hits"}


def test_the_printed_table_says_what_hits(capsys: pytest.CaptureFixture[str]) -> None:
    one = Interval(mean=0.5, low=0.25, high=0.75, n=4)
    print_table({"model": {"top1": one, "last_look_hit": one, "look_hits": one}, "whole_image": {"top1": one}, "median_box": {"top1": one}})
    told = " ".join(capsys.readouterr().out.split())
    assert "last_look_hit 0.500 [0.250, 0.750] look_hits" in told, "no baseline's"
    assert "last_look_hit: the last one's does" in told
    print_table({"model": {"top1": one}, "whole_image": {"top1": one}, "median_box": {"top1": one}})
    assert "look" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_looks_around_is_scored_and_shown_by_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.py").write_text(RECIPE)
    workdir = tmp_path / "run"
    processes.train_here(f"--config={tmp_path / 'recipe.py'}", workdir=workdir)
    assert main.main(["evaluate", str(workdir), "--split=validation"]) == 0
    assert "last_look_hit: the last one's does" in " ".join(capsys.readouterr().out.split())
    run = run_dir.RunDir(workdir)
    meta = prediction_table.read_meta(run.rows("validation")) or {}
    table = {row["id"]: row for row in prediction_table.read_rows(run.rows("validation"), expected=meta)}
    assert meta["outputs"] == ["box", "logits", "looks"]
    looks_nxgx4 = np.array([row["looks"] for row in table.values()])
    assert looks_nxgx4.shape == (800, 3, 4)
    np.testing.assert_allclose(looks_nxgx4[..., 2:] - looks_nxgx4[..., :2], 8 / 64, atol=2e-5, err_msg="8 of 64 pixels")
    assert np.ptp(looks_nxgx4[:, 0], axis=0).min() > 0.5, "the first place is each picture's own"
    results = files.read_json(run.results)
    hits = [_hits(row) for row in table.values()]
    assert results["validation"]["last_look_hit"]["mean"] == pytest.approx(np.mean(hits), abs=1e-9)
    assert not {"last_look_hit", "look_hits"} & set(results["validation/median_box"])
    kept = partial_predictions.read(run, "validation", meta)
    assert len(kept) >= 4
    assert all(steps.looks == table[steps.id]["looks"] for steps in kept)
    words = write_report([str(workdir)], tmp_path / "report.html", split="validation", pictures=tmp_path / "p").read_text()
    assert "Last look hits" in words
    assert len(list((tmp_path / "p").iterdir())) == len(kept)
    capsys.readouterr()
    picture = str(next(run.thumbnails("validation").iterdir()))
    assert main.main(["locate", str(workdir), picture, "--steps", str(tmp_path / "own")]) == 0
    assert "it looked last at" in Path(json.loads(capsys.readouterr().out)["steps"]).read_text()


def _hits(row: dict[str, Any]) -> bool:
    x0, y0, x1, y1 = row["looks"][-1]
    return any(a <= (x0 + x1) / 2 <= c and b <= (y0 + y1) / 2 <= d for a, b, c, d in row["boxes"])
