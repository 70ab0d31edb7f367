"""Scarce data: arms of a data set differ in images and augmentation alone; tables have intervals over seeds, or over test images."""

from __future__ import annotations

import importlib
import json
import runpy
from typing import Any

import pytest
from scipy import stats

from imgloc.config import schema as configs
from imgloc.config.build import keyword_options
from imgloc.data.sources import copy_paste, folder
from imgloc.errors import UserError
from tests.processes import ROOT

EXPERIMENTS = ROOT / "experiments"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    monkeypatch.chdir(ROOT)
    return runpy.run_path(str(EXPERIMENTS / "scarce_data" / "run.py"), run_name="scarce_data")


def run(value: float) -> dict[str, Any]:
    """A finished run whose metrics have this value, with an interval of 0.1 around it."""
    interval = {"mean": value, "low": value - 0.1, "high": value + 0.1}
    where = {"commit": "a" * 40, "dirty": False, "machine": "a laptop", "jax": "0.10", "python": "3.12"}
    return {**where, "results": {"test": dict.fromkeys(("ap50", "ap", "f1"), interval)}}


def test_arms_of_a_data_set_differ_in_images_and_augmentation_alone(module: dict[str, Any]) -> None:
    arms = importlib.import_module("arms")
    shared = set(keyword_options(folder.source)) & set(keyword_options(copy_paste.source))
    found: dict[str, set[str]] = {}
    for title in module["ARMS"]:
        data, size, augmentation = title.split("-")
        config = configs.to_json(arms.config_of(module["PLAN"], title, "photos"))
        section = config["data"]
        assert section.pop("train_images") == int(size)
        assert (section.pop("source") == "copy_paste") == (augmentation == "copy_paste")
        if data == "bccd":
            section["options"] = {key: value for key, value in section["options"].items() if key in shared}
        del section["augment"], section["batch_transforms"]
        found.setdefault(data, set()).add(json.dumps(config, sort_keys=True))
    assert {data: len(different) for data, different in found.items()} == {"digits": 1, "bccd": 1}


def test_a_cell_is_a_mean_with_its_t_interval_or_a_value_with_its_bootstrap_interval(module: dict[str, Any]) -> None:
    values = [0.5, 0.6, 0.65]
    unfinished = {"seed": 3, "unfinished": 100, "validation": []}
    results = {"runs": {"digits-200-mosaic": [*map(run, values), unfinished], "digits-50-mosaic": [run(0.25)]}}
    (line,) = [line for line in module["table"]("digits", results).splitlines() if line.startswith("| digits, AP50, mosaic")]
    low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))
    assert line.split("|")[2:5] == [" 25.0 (15.0 to 35.0) ", f" 58.3 [{100 * low:.1f}, {100 * high:.1f}] ", "  "]
    assert "cutmix" not in module["table"]("digits", results)
    assert "mosaic" not in module["table"]("bccd", results)


def test_the_picture_shows_the_arms_that_have_runs(module: dict[str, Any]) -> None:
    picture = module["curves"]({"runs": {"digits-200-mosaic": [run(0.5), run(0.6)], "bccd-50-light": [run(0.4)]}})
    assert "mosaic" in picture
    assert "light" in picture
    assert "cutmix" not in picture
    assert "</svg>" in module["curves"]({})


def test_arms_are_chosen_by_patterns(module: dict[str, Any]) -> None:
    matching = importlib.import_module("arms").matching
    chosen = matching(module["PLAN"], ["*-200-mosaic", "digits-50-light", "digits-200-mosaic"])
    assert sorted(chosen) == ["bccd-200-mosaic", "digits-200-mosaic", "digits-50-light"]
    with pytest.raises(UserError, match=r"'digits-201-.*no arm matches"):
        matching(module["PLAN"], ["digits-201-*"])
