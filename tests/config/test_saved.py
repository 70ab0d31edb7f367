"""Saved configs import nothing that the user has not named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from imgloc.config import saved
from imgloc.config import schema as configs
from tests.refusals import assert_refused

PLACES: dict[str, dict[str, Any]] = {
    "task": {"task": "evil.task"},
    "model": {"model": {"name": "evil.model"}},
    "cell": {"model": {"name": "recurrent", "cell": {"name": "evil.cell"}}},
    "backbone": {"model": {"name": "detector", "backbone": {"name": "evil.backbone"}}},
    "head": {"model": {"name": "weakly_supervised", "head": {"name": "evil.head"}}},
    "set decoder": {"model": {"name": "set_decoder", "decoder": {"name": "evil.decoder"}}},
    "matching": {"losses": {"set_box": {"weight": 1.0, "matching": "evil.matching"}}},
    "descriptor": {"model": {"name": "ridge", "descriptor": {"name": "evil.descriptor"}}},
    "part of a part": {"model": {"name": "my", "part": {"name": "x", "inner": [{"name": "evil.inner"}]}}},
    "weights": {"model": {"name": "resnet", "pretrained": "evil.weights:file.safetensors"}},
    "operation": {"data": {"preprocess": ["canny", {"name": "evil.operation"}]}},
    "assignment": {"losses": {"dense_box": {"weight": 1.0, "assignment": "evil.assignment"}}},
    "source": {"data": {"source": "evil.source"}},
    "augmentation": {"data": {"augment": {"name": "evil.augment"}}},
    "transform": {"data": {"batch_transforms": [{"name": "evil.transform"}]}},
    "transform by name": {"data": {"batch_transforms": ["evil.transform"]}},
    "metric": {"eval": {"metrics": ["evil.metric"]}},
    "loss": {"losses": {"mine": {"name": "evil.loss", "weight": 1.0}}},
}


@pytest.mark.parametrize("place", PLACES)
def test_every_key_that_can_name_a_module_is_refused_and_imports_nothing(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(saved, "_allowed", set())
    (tmp_path / "evil").mkdir()
    values = configs.to_json(configs.base()) | PLACES[place]
    (name,) = saved.dotted_names(values)
    for module in ("__init__", name.partition(".")[2]):
        (tmp_path / "evil" / f"{module}.py").write_text("raise SystemExit('executed')")
    assert_refused(lambda: saved.check_imports(values, "run/config.json"), "run/config.json", name, f"--allow-import {name}", str(tmp_path))
    assert not [module for module in sys.modules if module.startswith("evil")]
    saved.allow_imports(name)
    saved.check_imports(values, "run/config.json")


def test_an_installed_and_a_missing_module_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "_allowed", set())
    assert_refused(lambda: saved.check_imports({"task": "json.tool"}, "x"), "installed", "json")
    assert_refused(lambda: saved.check_imports({"task": "no_such_package.task"}, "x"), "not found")


@pytest.mark.parametrize("values", [{}, {"model": 3, "data": [], "losses": "x"}, {"data": {"batch_transforms": 5}}])
def test_damaged_configs_name_nothing(values: dict[str, Any]) -> None:
    assert list(saved.dotted_names(values)) == []


def test_paths_numbers_and_options_of_sources_are_no_modules() -> None:
    values = {
        "model": {"pretrained": "resnet18:weights/a.b.pth", "mean": [0.5, "0.5"]},
        "data": {"options": {"folder": "my.photos"}, "source": "folder"},
    }
    assert list(saved.dotted_names(values)) == []
