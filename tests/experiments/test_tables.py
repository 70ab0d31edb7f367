"""Tables of experiments: the forms of cells, rows of arms, runs and baselines, and tables across arms."""

from __future__ import annotations

from typing import Any

from scipy import stats

from imgloc.experiments import columns
from imgloc.experiments.columns import metric
from imgloc.experiments.declared import Arm, Column, Experiment, Table
from imgloc.experiments.tables import tables_text

MADE = {"commit": "a" * 40, "dirty": False, "machine": "a laptop", "jax": "0.10", "python": "3.12"}


def value(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}


def run(seed: int, mean: float, **results: float) -> dict[str, Any]:
    others = {f"test/{name}": {"top1": value(each)} for name, each in results.items()}
    return {**MADE, "seed": seed, "seconds": 60.0 * mean, "steps": 1000, "results": {"test": {"top1": value(mean)}, **others}}


def experiment(*tables: Any) -> Experiment:
    return Experiment({"a": Arm("digits_cnn", title="Arm A"), "b": Arm("digits_cnn"), "none": Arm("digits_cnn")}, tables)


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")][2:]


def test_forms_of_several_runs_and_of_one() -> None:
    values = [value(0.5), value(0.6), value(0.65)]
    low, high = stats.t.interval(0.95, 2, loc=1.75 / 3, scale=stats.sem([0.5, 0.6, 0.65]))
    assert columns.over_seeds(1)(values) == f"58.3 [{100 * low:.1f}, {100 * high:.1f}]"
    assert columns.over_seeds()([value(0.5)]) == "50.00"
    assert columns.over_seeds(empty="-")([]) == "-"
    assert columns.over_seeds()([value(0.0), value(1.0)]) == "50.00 [0.00, 100.00]"
    assert columns.over_seeds(0, clip=False)([value(0.0), value(1.0)]).startswith("50 [-")
    assert columns.over_seeds_or_images()([value(0.5)]) == "50.0 (40.0 to 60.0)"
    assert columns.over_images(3, pattern="{} [{}, {}]", scale=1)([value(0.5)]) == "0.500 [0.400, 0.600]"
    assert columns.over_images()([]) == ""
    assert columns.median_range()(values) == "0.600 (0.500 to 0.650)"
    assert columns.median_range()([value(0.5)]) == "0.500"
    assert columns.spread([], ".1f") == "-"
    assert columns.lowest_highest(1)(values) == "50.0, 65.0"
    assert columns.lowest_highest(1)([]) == ""


def test_rows_of_arms_and_of_baselines() -> None:
    table = Table(
        "model", (metric("top1", "class", columns.over_seeds(0)), columns.training_time("time"), columns.steps(), columns.count("n")),
        baselines={"test/box": "a box", "test/same": "a box"}, baseline_blank=" ", show_provenance=True,
    )  # fmt: skip
    results = {"runs": {"a": [run(0, 0.5), {"seed": 1, "unfinished": 3, "validation": []}], "b": [run(0, 0.75, box=0.25, same=0.25)]}}
    text = tables_text(experiment(table, lambda results: f"{len(results['runs'])} arms"), results)
    assert rows(text) == ["| Arm A | 50 | 30 s | 1,000 | 1 |", "| b | 75 | 45 s | 1,000 | 1 |", "| a box | 25 | | | |"]
    assert text.endswith("Commits aaaaaaa; a laptop; JAX 0.10, Python 3.12.\n\n2 arms")


def test_an_arm_without_runs_is_left_out_unless_the_table_has_unfinished_arms() -> None:
    table = Table("", (metric("top1", "class", columns.over_seeds(empty="-"), hidden_for=("b",)), columns.parameters()), unfinished=True)
    results = {"runs": {"a": [run(0, 0.5)]}, "steps": {"arms": {"a": {"parameters": 1234, "ms": 1.0}}}}
    assert rows(tables_text(experiment(table), results)) == ["| Arm A | 50.00 | 1,234 |", "| b | - | - |", "| none | - | - |"]
    assert tables_text(experiment(Table("t", (metric("top1", "class"),))), {}) == "t: no finished runs"


def test_a_table_across_arms_an_error_and_a_row_for_each_run() -> None:
    across = Table("", (metric("top1", "small", arm="a"), metric("top1", "large", arm="b", error=True)), rows={"{}": "both, {seeds}"})
    each = Table("", (metric("top1", "class", columns.over_seeds(0)),), rows={"a": "A: CNN"}, baselines={"test/box": "box"}, each_run=True)
    results = {"runs": {"a": [run(0, 0.5, box=0.1), run(1, 0.6, box=0.1)], "b": [run(0, 0.75)]}}
    first, second = tables_text(experiment(across, each), results).split("\n\n")
    low, high = stats.t.interval(0.95, 1, loc=0.55, scale=stats.sem([0.5, 0.6]))
    assert rows(first) == [f"| both, 2 seeds | 55.00 [{max(100 * low, 0):.2f}, {min(100 * high, 100):.2f}] | 25.00 |"]
    assert rows(second) == ["| A: CNN, seed 0 | 50 |", "| A: CNN, seed 1 | 60 |", "| A: box | 10 |"]


def test_a_column_shows_the_split_of_the_arm() -> None:
    arms = {"a": Arm("digits_cnn", split="test@last"), "b": Arm("digits_cnn")}
    results = {"runs": {"a": [{"seed": 0, "results": {"test@last": {"top1": value(0.5)}}}], "b": [run(0, 0.75)]}}
    table = Table("", (metric("top1", "class"), Column("name", lambda _results, name, _runs: name)))
    assert rows(tables_text(Experiment(arms, (table,)), results)) == ["| a | 50.00 | a |", "| b | 75.00 | b |"]
