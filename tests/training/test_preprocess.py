"""Training with operations before the model, and the bundle of such a run."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

import imgloc
from imgloc.config import schema
from imgloc.config.resolve import load_config
from imgloc.training.setup import set_up
from tests.refusals import assert_refused


def config(**data: object) -> ConfigDict:
    train = {"steps": 20, "batch_size": 8, "eval_every": 0, "save_every": 20, "log_every": 20}
    parts = {"train": train, "data": {"image_size": (24, 24), "options": {"per_digit": 1}, **data}, "eval": {"bootstrap_samples": 20}}
    return load_config("digits_three_layer_cnn", model={"name": "tests.small_cnn"}, **parts)


OPERATIONS = ({"name": "lbp", "keep": True}, {"name": "hog", "keep": True, "orientations": 4})


def test_a_run_with_operations_trains_and_its_bundle_predicts_and_explains(tmp_path: Path) -> None:
    given = config(preprocess=OPERATIONS)
    imgloc.train(given, tmp_path / "run")
    images = np.random.default_rng(0).integers(0, 256, (3, 30, 30, 1), np.uint8)
    model, moved = imgloc.load(tmp_path / "run"), tmp_path / "moved"
    (tmp_path / "run" / "model").rename(moved)
    answers = [each.answer for each in model.predict(images)]
    assert [each.answer for each in imgloc.load(moved).predict(images)] == answers
    first = next(leaf for leaf in jax.tree.leaves(model.variables["params"]) if leaf.ndim == 4)
    assert first.shape[2] == 1 + 1 + 4  # the gray image, its patterns and its histograms
    (explained,) = imgloc.explain(model, images[0], ["gradient"])
    assert explained.map_hxw.max() == pytest.approx(1.0)


def test_wrong_entries_are_refused_with_the_nearest_name() -> None:
    assert_refused(lambda: config(preprocess=("hogg",)), "unknown operation 'hogg'; did you mean 'hog'?")
    assert_refused(lambda: config(preprocess=({"name": "hog", "cells": 4},)), "did you mean 'data.preprocess (hog).cell'?")
    assert_refused(lambda: config(preprocess=({"name": "hog", "cell": "4"},)), "data.preprocess (hog).cell must be of type int")
    assert_refused(lambda: config(preprocess=({"name": "hog", "keep": 1},)), "data.preprocess (hog).keep must be of type bool")
    assert_refused(lambda: config(preprocess=(3,)), "an entry of data.preprocess must be a name, or a dict with a name and options, got 3")
    complete = config(preprocess=("lbp",)).data.preprocess
    assert complete == ({"name": "lbp", "keep": False, "points": 8, "radius": 1.0, "method": "uniform"},)
    assert schema.from_json(schema.to_json(config(preprocess=("lbp",)))).data.preprocess == complete


def test_operations_that_cannot_read_the_images_are_refused_before_training() -> None:
    assert_refused(
        lambda: set_up(config(preprocess=("white_balance",))), "operation 'white_balance' needs images with 3 channels, got 1; leave it out"
    )
    assert_refused(lambda: set_up(config(preprocess=({"name": "hog", "cell": 32},))), "holds no cell of 32 x 32")
