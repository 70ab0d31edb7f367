"""The choice of a form against the measurements that are kept of all of them."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path
from typing import Any

import pytest

from imgloc.nn.conv_choice import batched_form, choose
from imgloc.nn.conv_forms import FORMS, Geometry

FOLDER = Path(__file__).parents[2] / "experiments" / "operation_forms"
ROWS = [
    {"machine": machine, **row}
    for machine in ("amd", "intel")
    for row in json.loads((FOLDER / f"results_{machine}.json").read_text())["convolutions"]
]
EXPERIMENT = runpy.run_path(str(FOLDER / "run.py"))
NOISE = 1.1  # medians of one process differ by so much from run to run


def geometry(row: dict[str, Any]) -> Geometry:
    found: Geometry = EXPERIMENT["geometry_of"](EXPERIMENT["case_of"](row))
    return found


def name(row: dict[str, Any]) -> str:
    return "-".join(str(value) for key, value in row.items() if key != "ms")


def time_of(row: dict[str, Any]) -> float:
    return float(row["ms"][choose(row["role"], geometry(row))])


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_the_choice_is_no_slower_than_native_on_any_shape_measured(row: dict[str, Any]) -> None:
    assert time_of(row) <= NOISE * row["ms"]["native"]


def test_the_choice_is_near_the_best_of_all_forms() -> None:
    def mean_ratio(time: Any) -> float:
        """Geometric mean over rows of a time to the best form's."""
        return math.exp(sum(math.log(time(row) / min(row["ms"].values())) for row in ROWS) / len(ROWS))

    assert mean_ratio(time_of) < 1.15
    assert mean_ratio(lambda row: row["ms"]["native"]) > 1.3  # or there would be nothing to choose


def test_every_form_is_chosen_somewhere() -> None:
    assert {choose(row["role"], geometry(row)) for row in ROWS} == FORMS.keys()


def test_a_population_takes_batched_products_or_elementwise_sums() -> None:
    depthwise = [row for row in ROWS if row["groups"] == row["channels"] > 1]
    assert {batched_form(geometry(row)) for row in depthwise} == {"shifted"}
    assert {batched_form(geometry(row)) for row in ROWS if row["groups"] == 1} == {"gathered"}
