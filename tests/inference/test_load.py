"""A trained model in Python: from a run folder or a bundle alone, on images of any kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgloc
from imgloc.config import build
from imgloc.config.registry import declared
from imgloc.data.sources.scattered_digits import source
from imgloc.errors import UserError
from imgloc.inference.load import find_bundle
from imgloc.inference.predict import predict_rows
from imgloc.inference.predictions import as_picture
from imgloc.interfaces import Task
from imgloc.types import Example, InputSpec
from tests.bundles import rewrite_header
from tests.data.checks.test_examples import Listed
from tests.inference.test_predict import predictor
from tests.inference.trained import copied_bundle
from tests.refusals import assert_refused


def test_a_loaded_model_predicts_images_of_every_kind(evaluated_run: Path, tmp_path: Path) -> None:
    model = imgloc.load(evaluated_run)
    assert model.classes == tuple("0123456789")
    canvas = source("test", seed=0)[0].image_hxwxc
    Image.fromarray(canvas[..., 0]).save(tmp_path / "grey.png")
    every = [canvas, canvas[..., 0], Image.fromarray(canvas[..., 0]), tmp_path / "grey.png", str(tmp_path / "grey.png")]
    answers = [prediction.answer for prediction in model.predict(every)]
    assert len(set(answers)) == 1
    row = json.loads((evaluated_run / "rows" / "test.jsonl").read_text().splitlines()[0])
    assert row["id"] == "test-00000000"
    np.testing.assert_allclose(answers[0].box, np.array(row["pred_box"]) * 64, atol=1e-3)
    assert answers[0].label == str(row["top_labels"][0])
    assert answers[0].score == pytest.approx(row["top_scores"][0], abs=1e-5)
    assert len(model.predict([canvas] * 40)) == 40
    assert list(model.predict([])) == []
    for one in every:
        (prediction,) = model.predict(one)
        assert prediction.answer.label == answers[0].label
        np.testing.assert_allclose(prediction.answer.box, answers[0].box, atol=1e-3)
    assert len(model.predict(np.stack([canvas, canvas]))) == 2, "an array of four axes is several images"
    assert_refused(lambda: model.predict(canvas[0, :, 0]), "an image is")
    assert_refused(lambda: model.predict([canvas], batch_size=0), "batch_size must be at least 1, got 0")


def test_the_batch_size_changes_no_answer(evaluated_run: Path) -> None:
    model = imgloc.load(evaluated_run)
    canvases = [source("test", seed=0)[i].image_hxwxc for i in range(7)]
    alone, together = model.predict(canvases, batch_size=1), model.predict(canvases, batch_size=7)
    assert len({prediction.answer.box for prediction in together}) == 7
    for one, other in zip(alone, together, strict=True):
        assert one.answer.label == other.answer.label
        np.testing.assert_allclose(one.answer.box, other.answer.box, atol=1e-3)


def test_a_bundle_that_was_copied_alone_predicts_as_its_run(evaluated_run: Path, tmp_path: Path) -> None:
    canvas = source("test", seed=0)[0].image_hxwxc
    alone, run = imgloc.load(copied_bundle(evaluated_run, tmp_path / "elsewhere" / "digits")), imgloc.load(evaluated_run)
    assert alone.predict(canvas)[0].answer == run.predict(canvas)[0].answer
    assert alone.classes == tuple("0123456789")
    copy = tmp_path / "elsewhere" / "digits"
    assert_refused(lambda: imgloc.load(copy, checkpoint="last"), "is a trained model; --checkpoint last requires its run folder")


def test_a_stretched_image_has_its_box_stretched(evaluated_run: Path) -> None:
    canvas = source("test", seed=0)[0].image_hxwxc
    wide = np.asarray(Image.fromarray(canvas[..., 0]).resize((128, 64), Image.Resampling.NEAREST))
    alone, stretched = imgloc.load(evaluated_run).predict([canvas, wide])
    np.testing.assert_allclose(np.array(stretched.answer.box) / [2, 1, 2, 1], alone.answer.box, atol=1.0)


def test_a_letterboxed_image_has_the_box_of_its_row(evaluated_run: Path, tmp_path: Path) -> None:
    canvas = source("test", seed=0)[0].image_hxwxc
    wide = np.asarray(Image.fromarray(canvas[..., 0]).resize((128, 64), Image.Resampling.NEAREST))[..., None]
    stretched = imgloc.load(evaluated_run).predict(wide)[0].answer
    letterboxed = copied_bundle(evaluated_run, tmp_path / "letterboxed")
    rewrite_header(letterboxed, lambda header: header["config"]["data"].update(resize="letterbox"))
    answer = imgloc.load(letterboxed).predict(wide)[0].answer

    example = Example(wide, np.array([[0.1, 0.1, 0.9, 0.9]], np.float32), np.zeros(1, np.int32), 0, "wide", "wide")
    rows = predict_rows(
        {"model": predictor(evaluated_run)[0]}, Listed((example,)), declared("tasks", "localize", Task), "test",
        batch_size=1, spec=InputSpec((64, 64, 1), 1, "letterbox"), threads=1,
    )  # fmt: skip
    np.testing.assert_allclose(answer.box, np.array(rows["model"][0]["pred_box"]) * [128, 64, 128, 64], atol=1e-2)
    np.testing.assert_allclose(rows["model"][0]["boxes"], example.boxes_nx4, atol=0, err_msg="truth is of the image, not of the input")
    assert np.abs(np.array(answer.box) - stretched.box).max() > 0.5
    assert build.make_input_spec  # the input spec of a bundle is made from its config


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)]
)
def test_arrays_that_are_not_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(UserError, match="an image is"):
        as_picture(image, 1)


def test_folders_without_a_trained_model_are_refused(tmp_path: Path, evaluated_run: Path) -> None:
    assert_refused(lambda: imgloc.load(tmp_path), "is neither a run folder nor a trained model")
    (tmp_path / "config.json").write_text("{}")
    assert_refused(lambda: imgloc.load(tmp_path), "has no trained model yet; run imgloc train")
    (tmp_path / "finished.json").write_text("{}")
    assert_refused(lambda: imgloc.load(tmp_path), "a finished run, is missing; remove that folder and train again")
    assert_refused(lambda: imgloc.load(evaluated_run, checkpoint="lst"), "unknown checkpoint 'lst'; did you mean 'last'?")


def test_the_last_model_is_the_best_one_where_it_has_no_bundle_of_its_own(tmp_path: Path) -> None:
    for name in ("model", "last_model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bundle.json").touch()
        expected = {"best": tmp_path / "model", "last": tmp_path / name}
        assert {which: find_bundle(tmp_path, which) for which in expected} == expected
