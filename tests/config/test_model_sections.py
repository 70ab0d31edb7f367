"""The section `model.cell`: every setting of the named cell is filled in, wrong ones are refused, another cell by a flag drops them."""

from __future__ import annotations

from typing import Any

import pytest
from ml_collections import ConfigDict

from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.config.resolve import resolve
from imgloc.nn.cell import make_layer
from imgloc.nn.cells import gru, irnn, lstm
from tests.refusals import assert_refused

LSTM = {"name": "lstm", "activation": "tanh", "forget_bias": 1.0, "kernel_init": "per_gate", "form": ""}


def recipe(model: str = "recurrent", **fields: Any) -> ConfigDict:
    config = configs.base()
    config.model.update(name=model, **fields)
    config.losses.cross_entropy = ConfigDict()
    return config


@pytest.mark.parametrize("model", ["recurrent", "sequence"])
def test_every_setting_of_the_default_cell_is_filled_in(model: str) -> None:
    assert resolve(recipe(model)).model.cell.to_dict() == LSTM


def test_settings_of_a_recipe_are_kept_and_the_others_filled_in() -> None:
    assert resolve(recipe(cell={"name": "gru"})).model.cell.to_dict() == {"name": "gru", "update_bias": 0.0}
    named = resolve(recipe(cell={"name": "lstm", "activation": "relu"})).model.cell
    unnamed = resolve(recipe(cell={"activation": "relu"})).model.cell
    assert named.to_dict() == unnamed.to_dict() == {**LSTM, "activation": "relu"}


def test_the_empty_cell_of_the_localizer_stays_empty_until_it_is_named() -> None:
    assert resolve(recipe("localizer")).model.cell.to_dict() == {"name": ""}
    flags = ["--config.model.backbone=cnn_irnn", "--config.model.cell.name=irnn", "--config.model.cell.scale=0.5"]
    cell = resolve(recipe("localizer"), flags).model.cell
    assert set(cell) == {"name", "scale", "input_std", "input_projection", "form"}
    assert make_layer(cell.to_dict(), 3) == irnn.Layer(3, scale=0.5)


def test_models_without_a_cell_have_no_section() -> None:
    assert "cell" not in resolve(recipe("second_look")).model
    assert_refused(lambda: resolve(recipe("second_look", cell={"name": "gru"})), "unknown config key 'model.cell'")
    assert_refused(lambda: resolve(recipe("second_look"), ["--config.model.cell.name=gru"]), "unknown config key 'model.cell.name'")


def test_a_complete_section_survives_json_and_has_one_fingerprint() -> None:
    config = resolve(recipe(cell={"name": "lstm", "forget_bias": 2}))
    assert isinstance(config.model.cell.forget_bias, float)
    back = configs.from_json(configs.to_json(config))
    assert configs.to_json(resolve(back)) == configs.to_json(config)
    by_flag = resolve(recipe(), ["--config.model.cell.forget_bias=2.0"])
    assert configs.fingerprint(by_flag) == configs.fingerprint(config)


def test_resolving_leaves_the_recipe_unchanged() -> None:
    config = recipe(cell={"name": "lstm", "activation": "relu"})
    before = config.to_dict()
    resolve(config, ["--config.model.cell.name=gru", "--config.model.cell.update_bias=1.0"])
    assert config.to_dict() == before


def test_a_flag_for_another_cell_drops_the_settings_of_the_recipe() -> None:
    config = recipe(cell={"name": "lstm", "activation": "relu"})
    assert resolve(config, ["--config.model.cell.name=gru"]).model.cell.to_dict() == {"name": "gru", "update_bias": 0.0}
    elman = resolve(config, ["--config.model.cell.name", "elman", "--config.model.cell.activation=sigmoid"]).model.cell
    assert elman.to_dict() == {"name": "elman", "activation": "sigmoid", "form": ""}
    assert resolve(config, ["--config.model.cell.name=lstm"]).model.cell.activation == "relu"
    assert resolve(config, ["--config.model.cell.name=elman"]).model.cell.activation == "tanh"
    of_default = resolve(recipe(), ["--config.model.cell.name=gru", "--config.model.cell.update_bias=2"]).model.cell
    assert of_default.to_dict() == {"name": "gru", "update_bias": 2.0}


def test_a_flag_for_another_model_drops_the_cell() -> None:
    config = recipe(cell={"name": "gru", "update_bias": 1.0})
    assert resolve(config, ["--config.model.name=sequence"]).model.cell.to_dict() == LSTM
    both = resolve(config, ["--config.model.name=sequence", "--config.model.cell.name=gru"]).model.cell
    assert both.to_dict() == {"name": "gru", "update_bias": 0.0}


def test_a_model_has_the_layers_of_its_section() -> None:
    config = resolve(recipe(cell={"name": "lstm", "activation": "relu"}, features=3))
    model: Any = build.make_model(config.model, 10)
    assert make_layer(model.cell, 3) == lstm.Layer(3, activation="relu")
    other: Any = build.make_model(resolve(recipe(), ["--config.model.cell.name=gru"]).model, 10)
    assert make_layer(other.cell, 3) == gru.Layer(3)
    assert hash(model) != hash(other)


@pytest.mark.parametrize(
    ("cell", "contains"),
    [
        ({"name": "lsmt"}, ("unknown cell 'lsmt'", "did you mean 'lstm'")),
        ({"name": "lstm", "activaton": "relu"}, ("unknown config key 'model.cell.activaton'", "did you mean 'model.cell.activation'")),
        ({"name": "gru", "activation": "relu"}, ("unknown config key 'model.cell.activation'", "model.cell.update_bias")),
        ({"name": "lstm", "features": 3}, ("unknown config key 'model.cell.features'",)),
        ({"name": "lstm", "activation": 3}, ("model.cell.activation must be of type str", "got 3")),
        ({"name": "lstm", "forget_bias": "high"}, ("model.cell.forget_bias must be of type float", "got 'high'")),
        ({"name": 3}, ("model.cell.name must be of type str", "got 3")),
        ({"name": "", "activation": "relu"}, ("unknown config key 'model.cell.activation'",)),
        ("gru", ("'model.cell' must be a section such as {'name': 'gru'}, got 'gru'",)),
    ],
)
def test_wrong_sections_are_refused(cell: Any, contains: tuple[str, ...]) -> None:
    assert_refused(lambda: resolve(recipe(cell=cell)), *contains)


@pytest.mark.parametrize(
    ("flags", "contains"),
    [
        (["--config.model.cell=gru"], ("model.cell is a section", "model.cell.name", "model.cell.activation")),
        (["--config.model.cell.name=lstmm"], ("unknown cell 'lstmm'", "did you mean 'lstm'")),
        (["--config.model.cell.activaton=relu"], ("'model.cell.activaton'", "did you mean 'model.cell.activation'")),
        (["--config.model.cell.name=gru", "--config.model.cell.activation=relu"], ("'model.cell.activation'", "model.cell.update_bias")),
        (["--config.model.cell.forget_bias=high"], ("model.cell.forget_bias must be of type float", "high")),
    ],
)
def test_wrong_flags_are_refused(flags: list[str], contains: tuple[str, ...]) -> None:
    assert_refused(lambda: resolve(recipe(cell={"name": "lstm", "activation": "relu"}), flags), *contains)
