"""Fields of models that published weights require, in recipes and on command lines."""

from __future__ import annotations

from typing import Any

import pytest
from ml_collections import ConfigDict

from imgloc.config.resolve import override
from imgloc.config.schema import base
from tests.refusals import assert_refused

MEAN = (0.485, 0.456, 0.406)


def recipe(losses: tuple[str, ...] = ("cross_entropy",), **model: Any) -> ConfigDict:
    config = base()
    config.task = "classify"
    config.model.update(model)
    config.losses.update({name: {} for name in losses})
    return config


def test_fields_of_a_model_are_those_of_the_weights() -> None:
    model = override(recipe(name="resnet"), ["--config.model.pretrained=resnet50", "--config.model.output_stride=16"]).model
    assert (model.depth, model.width, model.mean, model.output_stride, model.pretrained) == (50, 64, MEAN, 16, "resnet50")
    again = override(recipe(**model.to_dict()))
    assert again.model.to_dict() == model.to_dict()
    lite = override(recipe(name="efficientnet_lite", pretrained="efficientnet_lite2:a/b.pth")).model
    assert (lite.width, lite.depth, lite.mean) == (1.1, 1.2, (127 / 255,))


def test_a_detector_has_the_backbone_of_the_weights() -> None:
    detector = recipe(("dense_class", "dense_box"), name="detector", pretrained="resnet50", strides=(8, 16, 32))
    detector.task = "detect"
    backbone = override(detector).model.backbone
    assert backbone.to_dict() == {
        "name": "resnet",
        "depth": 50,
        "width": 64,
        "output_stride": 32,
        "mean": MEAN,
        "std": (0.229, 0.224, 0.225),
    }
    detector.model.pretrained = ""
    flags = ["--config.model.pretrained=resnet18", "--config.model.backbone.name=resnet", "--config.model.backbone.output_stride=16"]
    backbone = override(detector, flags).model.backbone
    assert (backbone.name, backbone.depth, backbone.mean, backbone.output_stride) == ("resnet", 18, MEAN, 16)


@pytest.mark.parametrize(
    ("model", "flags", "messages"),
    [
        ({"name": "resnet", "width": 32}, ["pretrained=resnet18"], ("model.width is 32", "need 64", "--config.model.width=64")),
        ({"name": "resnet", "pretrained": "resnet18"}, ["mean=(0.5,)"], ("model.mean", "0.485")),
        ({"name": "resnet"}, ["pretrained=resnet19"], ("unknown pretrained weights 'resnet19'; did you mean 'resnet18'",)),
        ({"name": "three_layer_cnn"}, ["pretrained=resnet18"], ("no backbone for the weights 'resnet18'", "detector, pooled")),
        ({"name": "detector", "backbone": {"name": "renet"}}, ["pretrained=resnet18"], ("model.backbone.name is 'renet'", "'resnet'")),
    ],
)
def test_other_models_and_fields_are_refused(model: dict[str, Any], flags: list[str], messages: tuple[str, ...]) -> None:
    assert_refused(lambda: override(recipe(**model), [f"--config.model.{flag}" for flag in flags]), *messages)


def test_another_model_on_the_command_line_keeps_the_weights() -> None:
    config = override(recipe(name="three_layer_cnn"), ["--config.model.name=resnet", "--config.model.pretrained=resnet18"])
    assert (config.model.name, config.model.width, config.model.pretrained) == ("resnet", 64, "resnet18")
