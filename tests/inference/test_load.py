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
from imgloc.inference.load import as_picture, find_bundle
from imgloc.inference.predict import predict_rows
from imgloc.interfaces import Task
from imgloc.types import Example, InputSpec
from tests.bundles import rewrite_header
from tests.data.checks.test_examples import Listed
from tests.inference.test_predict import predictor
from tests.inference.trained import copied_bundle
from tests.refusals import assert_refused


def test_load_returns_a_predict_function_and_the_classes(evaluated_run: Path, tmp_path: Path) -> None:
    predict, classes = imgloc.load(evaluated_run)
    assert classes == tuple("0123456789")
    canvas = source("test", seed=0)[0].image_hxwxc
    Image.fromarray(canvas[..., 0]).save(tmp_path / "grey.png")
    answers = predict([canvas, canvas[..., 0], Image.fromarray(canvas[..., 0]), tmp_path / "grey.png", str(tmp_path / "grey.png")])
    assert len(set(answers)) == 1
    row = json.loads((evaluated_run / "rows" / "test.jsonl").read_text().splitlines()[0])
    assert row["id"] == "test-00000000"
    np.testing.assert_allclose(answers[0].box, np.array(row["pred_box"]) * 64, atol=1e-3)
    assert answers[0].label == str(row["top_labels"][0])
    assert answers[0].score == pytest.approx(row["top_scores"][0], abs=1e-5)
    assert len(predict([canvas] * 40)) == 40
    assert predict([]) == []
    for one in (canvas, canvas[..., 0], Image.fromarray(canvas[..., 0]), tmp_path / "grey.png", str(tmp_path / "grey.png")):
        answer = predict(one)  # one picture has one answer
        assert answer.label == answers[0].label
        np.testing.assert_allclose(answer.box, answers[0].box, atol=1e-3)
    assert len(predict(np.stack([canvas, canvas]))) == 2, "an array of four axes is a list of pictures"
    assert_refused(lambda: predict(canvas[0, :, 0]), "an image is")


def test_a_bundle_that_was_copied_alone_predicts_as_its_run(evaluated_run: Path, tmp_path: Path) -> None:
    canvas = source("test", seed=0)[0].image_hxwxc
    alone = copied_bundle(evaluated_run, tmp_path / "elsewhere" / "digits")
    assert imgloc.load(alone)[0]([canvas]) == imgloc.load(evaluated_run)[0]([canvas])
    assert imgloc.load(alone)[1] == tuple("0123456789")
    assert_refused(lambda: imgloc.load(alone, checkpoint="last"), "is one model; --checkpoint last needs the folder of its run")


def test_a_stretched_image_has_its_box_stretched(evaluated_run: Path) -> None:
    predict, _ = imgloc.load(evaluated_run)
    canvas = source("test", seed=0)[0].image_hxwxc
    wide = np.asarray(Image.fromarray(canvas[..., 0]).resize((128, 64), Image.Resampling.NEAREST))
    alone, stretched = predict([canvas])[0], predict([wide])[0]
    np.testing.assert_allclose(np.array(stretched.box) / [2, 1, 2, 1], alone.box, atol=1.0)


def test_a_letterboxed_image_has_the_box_of_its_row(evaluated_run: Path, tmp_path: Path) -> None:
    canvas = source("test", seed=0)[0].image_hxwxc
    wide = np.asarray(Image.fromarray(canvas[..., 0]).resize((128, 64), Image.Resampling.NEAREST))[..., None]
    stretched = imgloc.load(evaluated_run)[0]([wide])[0]
    letterboxed = copied_bundle(evaluated_run, tmp_path / "letterboxed")
    rewrite_header(letterboxed, lambda header: header["config"]["data"].update(resize="letterbox"))
    answer = imgloc.load(letterboxed)[0]([wide])[0]

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
    assert_refused(lambda: imgloc.load(tmp_path), "has no trained model yet; possible: imgloc train")
    (tmp_path / "finished.json").write_text("{}")
    assert_refused(lambda: imgloc.load(tmp_path), "a finished run, is missing; remove that folder and train again")
    assert_refused(lambda: imgloc.load(evaluated_run, checkpoint="lst"), "unknown checkpoint 'lst'; did you mean 'last'?")


def test_the_last_model_is_the_best_one_where_it_has_no_bundle_of_its_own(tmp_path: Path) -> None:
    for name in ("model", "last_model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bundle.json").touch()
        expected = {"best": tmp_path / "model", "last": tmp_path / name}
        assert {which: find_bundle(tmp_path, which) for which in expected} == expected
