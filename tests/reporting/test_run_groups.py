"""Groups of runs: which runs belong together, their names, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import imgloc
from imgloc.reporting.run_groups import NamedPaths, RunGroups, load_groups
from tests.refusals import assert_refused

MakeRun = Callable[..., Path]
SMALL: dict[str, Any] = {"n": 20, "thumbnails": False}


def load(*paths: Path, names: tuple[str, ...] = ()) -> RunGroups:
    return load_groups([NamedPaths(name, [str(path)]) for name, path in zip(names or [""] * len(paths), paths, strict=True)], "test")


@pytest.mark.parametrize(
    ("folders", "name"),
    [
        (("cnn-0", "cnn-1"), "cnn"),
        (("lr=0.001,seed=10", "lr=0.001,seed=11"), "lr=0.001"),
        (("sweep/seed=0", "sweep/seed=1"), "sweep"),
        (("resnet50_0", "resnet50_1"), "resnet50"),
    ],
)
def test_runs_that_differ_in_their_seeds_are_one_group(make_run: MakeRun, folders: tuple[str, str], name: str) -> None:
    first, second = (make_run(folder, seed=seed, **SMALL) for seed, folder in enumerate(folders))
    other = make_run("other/run", lr=0.1, **SMALL)
    found = load(first, other, second)
    assert {label: [run.run.path for run in runs] for label, runs in found.runs.items()} == {name: [first, second], "run": [other]}


def test_named_groups_keep_their_names_and_order(make_run: MakeRun) -> None:
    paths = [make_run(f"run{seed}", seed=seed, **SMALL) for seed in range(3)]
    assert list(load(*paths, names=("b", "a", "b")).runs) == ["b", "a"]


def test_what_cannot_be_compared_is_refused(make_run: MakeRun) -> None:
    first = make_run("first", **SMALL)
    assert_refused(lambda: load(first, make_run("other_task", seed=1, boxes=False, **SMALL)), "task", "'localize'", "'classify'")
    assert_refused(lambda: load(first, make_run("other_data", seed=1, data="beef", **SMALL)), "data", "'beef'", "other_data")
    assert_refused(lambda: load(first, make_run("few", seed=1, classes=("a", "b", "c"), **SMALL)), "classes")
    last = make_run("last", seed=1, **SMALL)
    for path in (last / "rows").glob("test.*"):
        path.rename(path.with_name(path.name.replace("test", "test@last")))
    assert_refused(lambda: load(first, last), "split", "'test@last'")
    assert_refused(lambda: load(first, first), "seed 0 twice")
    assert_refused(lambda: load(first, make_run("lr", seed=1, lr=0.1, **SMALL), names=("a", "a")), "differ in their seeds alone")
    assert_refused(lambda: load_groups([], "test"), "no runs")


def test_python_takes_mappings_and_a_notebook_shows_the_table(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(2):
        make_run(f"a-{seed}", seed=seed, **SMALL)
        make_run(f"b-{seed}", seed=5 + seed, wrong=0.5, lr=0.1, **SMALL)
    groups = {"B": tmp_path / "b-*", "A": [tmp_path / "a-0", tmp_path / "a-1"]}
    found = imgloc.compare(groups, samples=100, metrics=["top1"])
    table = found.table
    assert list(table["group"]) == ["B", "A"]
    assert table["verdict"].isna().tolist() == [True, False]
    assert table["difference"][1] == pytest.approx(table["mean"][1] - table["mean"][0])
    assert found._repr_html_().startswith("<table>")
    profile = found.profile("top1")
    assert set(profile["group"]) == {"A", "B"}
    assert profile[profile["threshold"] == profile["threshold"].max()]["share"].tolist() == [0.0, 0.0]
    assert ((profile["low"] <= profile["share"]) & (profile["share"] <= profile["high"])).all()
    assert_refused(lambda: found.to("word"), "unknown format 'word'")
    assert_refused(lambda: found.profile("ap"), "unknown metric 'ap'")
