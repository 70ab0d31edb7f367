"""Agreement of cells: its rule, how often chance breaks it, and the refusals of other code, configs and data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from imgloc import files
from imgloc.api import experimenting
from imgloc.api.experimenting import Chosen, check_same, choose
from imgloc.cli import main
from imgloc.config import build
from imgloc.errors import UserError
from imgloc.evaluation.statistics import Interval
from imgloc.experiments import agreement, records
from imgloc.runs.provenance import code_fingerprint, git_commit
from imgloc.training.preemption import StopRequest
from tests.experiments import tiny


def value(mean: float, half: float = 0.02) -> dict[str, Any]:
    return {"mean": mean, "low": mean - half, "high": mean + half}


def test_the_interval_contains_those_over_images_and_over_seeds() -> None:
    one = agreement.interval([value(0.5)])
    assert (one.mean, one.low, one.high) == (0.5, 0.48, 0.52)
    means = [0.5, 0.6, 0.7]
    low, high = stats.t.interval(0.95, 2, loc=0.6, scale=stats.sem(means))
    wide = agreement.interval([value(mean) for mean in means])
    np.testing.assert_allclose([wide.mean, wide.low, wide.high], [0.6, low, high])
    narrow = agreement.interval([value(0.5), value(0.5001)])
    np.testing.assert_allclose([narrow.low, narrow.high], [0.48005, 0.52005])


def test_a_cell_is_equal_agrees_or_differs() -> None:
    def verdict(recorded: Interval, new: Interval) -> str:
        return agreement.Cell("a", "top1", "test", (0,), recorded, new).verdict

    recorded = Interval(0.5, 0.4, 0.6, 1)
    assert verdict(recorded, recorded) == "equal"
    assert verdict(recorded, Interval(0.5 + 1e-9, 0.4, 0.6, 1)) == "agrees"
    assert verdict(recorded, Interval(0.7, 0.6, 0.8, 1)) == "agrees"
    assert verdict(recorded, Interval(0.7, 0.61, 0.79, 1)) == "differs"
    assert verdict(recorded, Interval(0.3, 0.21, 0.39, 1)) == "differs"


def test_chance_breaks_agreement_as_rarely_as_the_module_states() -> None:
    """Two independent estimates of one value with known errors: intervals do not overlap in 0.6 % of the cases."""
    pairs_rx2 = np.random.default_rng(0).normal(size=(20_000, 2))
    expected = 2 * stats.norm.sf(2 * 1.96 / np.sqrt(2))
    intervals = [[Interval(x, x - 1.96, x + 1.96, 1) for x in pair] for pair in pairs_rx2.tolist()]
    apart = [agreement.Cell("a", "m", "test", (0,), *pair).verdict for pair in intervals]
    assert abs(apart.count("differs") / 20_000 - expected) < 0.002
    assert round(expected, 3) == 0.006


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chosen:
    """The tiny experiment with a recorded run of the arm `plain`, as if it had been trained."""
    place = tiny.write(tmp_path / "tiny")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    chosen = choose(".", ["plain"], [0])
    (each,) = chosen.points()
    config = each.point.config
    data = {split: build.make_source(config.data, split, config.seed).fingerprint for split in ("train", "validation")}
    results = {"test": {"top1": value(0.5), "mean_iou": value(0.6)}}
    record = {"seed": 0, **git_commit(), "code": code_fingerprint(), "data": data, "results": results}
    files.write_json(place / "results.json", {"configs": {"plain": records.comparable(each)}, "runs": {"plain": [record]}})
    return chosen


def changed(chosen: Chosen, change: Any) -> None:
    saved = records.read_results(chosen.place)
    change(saved)
    files.write_json(records.results_path(chosen.place), saved)


def test_the_same_code_config_and_data_are_accepted(chosen: Chosen) -> None:
    planned, notes = check_same(chosen, allow_differences=False)
    assert [each.point.name for each in planned] == ["plain-0"]
    assert notes == []


def other_code(saved: dict[str, Any]) -> None:
    saved["runs"]["plain"][0] |= {"code": "0" * 16, "commit": "unknown"}


def other_config(saved: dict[str, Any]) -> None:
    saved["configs"]["plain"]["optim"]["lr"] = 0.25


def other_data(saved: dict[str, Any]) -> None:
    saved["runs"]["plain"][0]["data"]["validation"] = "f" * 16


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_code, "the code may differ: this checkout does not have commit unknown"),
        (other_config, "the config of arm 'plain' differs: optim.lr is 0.001, recorded 0.25"),
        (other_data, "the validation data of arm 'plain' differs"),
    ],
)
def test_each_difference_is_refused_in_one_line_and_noted_where_it_is_allowed(
    change: Any, words: str, chosen: Chosen, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(chosen, change)
    assert main.main(["reproduce", ".", "--arms", "plain", "--seeds", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert "--allow-differences" in line
    assert not (chosen.place / "runs").exists()
    _, (note,) = check_same(chosen, allow_differences=True)
    assert words in note


def test_code_of_another_commit_is_named_by_its_files(chosen: Chosen) -> None:
    commit = agreement.git_output("log", "--format=%H", "-1", "--skip=20", "--", "imgloc/nn", "imgloc/losses", "imgloc/training")
    if not commit:
        pytest.skip("this checkout has no earlier commits")

    def older(saved: dict[str, Any]) -> None:
        saved["runs"]["plain"][0] |= {"code": "0" * 16, "commit": commit}

    changed(chosen, older)
    with pytest.raises(UserError, match=r"the code differs: \S+\.py .*from commit [0-9a-f]{7}"):
        check_same(chosen, allow_differences=False)


def test_results_without_fingerprints_are_compared_with_a_note(chosen: Chosen) -> None:
    def as_before(saved: dict[str, Any]) -> None:
        del saved["configs"], saved["runs"]["plain"][0]["data"]

    changed(chosen, as_before)
    _, (note,) = check_same(chosen, allow_differences=False)
    assert note == "results.json does not have configs and fingerprints of data"


def test_runs_that_are_not_recorded_are_refused(chosen: Chosen) -> None:
    with pytest.raises(UserError, match="has no finished run of these arms and seeds; it has runs of plain"):
        check_same(choose(".", ["louder"], [1]), allow_differences=True)


def test_cells_pair_runs_of_one_seed(chosen: Chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = records.read_results(chosen.place)
    new = {"runs": {"plain": [{"seed": seed, "results": {"test": {"top1": value(0.9), "mean_iou": value(0.61)}}} for seed in (0, 1)]}}
    cells = list(agreement.cells(chosen.experiment, recorded, new))
    assert [(cell.metric, cell.seeds, cell.verdict) for cell in cells] == [("top1", (0,), "differs"), ("mean_iou", (0,), "agrees")]
    assert agreement.counted(cells) == "1 of 2 cells agree, 0 of them to the last digit"
    monkeypatch.setattr(experimenting, "train", lambda *_: {})
    monkeypatch.setattr(records, "gathered", lambda *_: new)
    done = experimenting.reproduce(chosen, [], "runs/again", StopRequest.__new__(StopRequest), None, None)  # type: ignore[arg-type]
    assert not done.agrees
