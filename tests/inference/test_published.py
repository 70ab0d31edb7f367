"""Published weights as trained models, from small files with the tensors of a real network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import imgloc
from imgloc.config import registry
from imgloc.config.build import model_class, model_fields
from imgloc.config.pretrained_fields import weights_of
from imgloc.inference.published import is_published
from imgloc.interfaces import Task
from tests.pretrained.recorded import values_of
from tests.pretrained.test_originals import tensors_of
from tests.processes import run
from tests.refusals import assert_refused


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tensors of ResNet-18 and 20 classes."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file({name: values_of(name, shape) for name, shape in tensors_of("resnet18").items()}, path)
    return path


def test_weights_in_a_file_are_a_model_that_predicts(weights: Path) -> None:
    model = imgloc.load(f"resnet18:{weights}")
    assert model.spec.shape == (224, 224, 3)
    assert model.classes == tuple(f"class {number}" for number in range(20))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 60, 80, 3), np.uint8)
    answers = [each.answer for each in model.predict(pictures)]
    assert all(answer.label in model.classes for answer in answers)
    for x0, y0, x1, y1 in (answer.box for answer in answers):
        assert 10 <= x0 < x1 <= 70, "of 80 columns the model sees the 60 in the center"
        assert 0 <= y0 < y1 <= 60
    assert answers[0] != answers[1]


@pytest.mark.parametrize("name", registry.names("pretrained"))
def test_weights_declare_a_task_and_fields_of_their_model(name: str) -> None:
    weights = weights_of(name)
    fields = model_fields(model_class(weights.model))
    assert set(weights.classifier_fields) <= set(fields)
    task = registry.declared("tasks", weights.task, Task)
    assert weights.classifier_fields.get("locate", False) is False, "published networks have no head for boxes"
    assert weights.classifier_fields.get("score_maps", False) is ("score_maps" in task.outputs)


def test_locate_takes_weights_in_a_file(weights: Path, tmp_path: Path, cache: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path / "a.png")
    line = json.loads(run("locate", f"resnet18:{weights}", str(tmp_path / "a.png"), cache=cache).stdout)
    assert len(line["box"]) == 4
    assert line["class"].startswith("class ")
    assert 0 < line["score"] <= 1


def test_a_folder_goes_before_a_name_and_other_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_published("resnet18")
    assert is_published("resnet18:file.pth")
    assert not is_published("runs/a")
    (tmp_path / "resnet18").mkdir()
    assert not is_published("resnet18")
    assert_refused(lambda: imgloc.load("resnet19"), "there is no folder 'resnet19'", *registry.names("pretrained"))
    assert_refused(lambda: imgloc.load("resnet50:nowhere.pth"), "resnet50:nowhere.pth", "nowhere.pth")
