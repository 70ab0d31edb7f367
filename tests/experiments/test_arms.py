"""The arms of the experiments: they differ in what is compared alone, and every declared config is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imgloc.api.experimenting import choose
from imgloc.config import schema as configs
from imgloc.config.build import keyword_options
from imgloc.data.sources import copy_paste, folder
from imgloc.experiments.declared import load_experiment
from tests.processes import ROOT

EXPERIMENTS = ROOT / "experiments"


def arm_configs(name: str, pattern: str, data: str) -> dict[str, dict[str, Any]]:
    """The config of each arm with seed 0."""
    chosen = choose(str(EXPERIMENTS / name), [pattern], [0], [data])
    return {each.arm: configs.to_json(each.point.config) for each in chosen.points()}


def test_methods_differ_in_the_head_the_second_loss_and_the_batch_transforms_alone() -> None:
    shared, methods = set(), set()
    for title, config in arm_configs("from_labels", "digits-*", "none").items():
        if title != "digits-full_supervision":
            own = [config["model"].pop("head"), config["losses"]["second"].pop("weight"), config["data"].pop("batch_transforms")]
            shared.add(json.dumps(config, sort_keys=True))
            methods.add(json.dumps(own, sort_keys=True))
    assert len(shared) == 1
    assert len(methods) == 7


def test_full_supervision_has_the_same_backbone_steps_and_optimizer() -> None:
    found = arm_configs("from_labels", "digits-*", "none")
    weak, full = found["digits-cam"], found["digits-full_supervision"]
    assert weak["optim"] == full["optim"]
    assert weak["train"]["steps"] == full["train"]["steps"] == 600
    assert weak["data"]["options"] == full["data"]["options"]
    backbone = weak["model"]["backbone"]
    assert full["model"]["backbone"] == backbone["name"] == "cnn"
    for field in ("stem", "middle", "deep"):
        assert full["model"][field] == backbone[field]
    assert weak["losses"]["cross_entropy"] == full["losses"]["cross_entropy"]
    assert {"box_l1", "giou"} <= set(full["losses"])


def test_arms_of_scarce_data_differ_in_images_and_augmentation_alone() -> None:
    shared = set(keyword_options(folder.source)) & set(keyword_options(copy_paste.source))
    found: dict[str, set[str]] = {}
    for title, config in arm_configs("scarce_data", "*", "photos").items():
        data, size, augmentation = title.split("-")
        section = config["data"]
        assert section.pop("train_images") == int(size)
        assert (section.pop("source") == "copy_paste") == (augmentation == "copy_paste")
        if data == "bccd":
            section["options"] = {key: value for key, value in section["options"].items() if key in shared}
        del section["augment"], section["batch_transforms"]
        found.setdefault(data, set()).add(json.dumps(config, sort_keys=True))
    assert {data: len(different) for data, different in found.items()} == {"digits": 1, "bccd": 1}


@pytest.mark.parametrize("name", ["glimpses", "renet", "pixels_mnist", "scarce_data"])
def test_pictures_of_few_runs_are_drawn(name: str) -> None:
    experiment, place = load_experiment(str(EXPERIMENTS / name))
    assert experiment.pictures is not None
    saved = json.loads((place / "results.json").read_text()) if (place / "results.json").exists() else {}
    for runs in (dict(list(saved.get("runs", {}).items())[:1]), {}):
        results = {**saved, "runs": runs}
        assert all(content for content in experiment.pictures(results, place).values())
