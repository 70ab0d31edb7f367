"""imgloc compare"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imgloc.cli.compare import EXAMPLES
from imgloc.cli.main import main
from tests.reporting.conftest import make_run  # noqa: F401  (a fixture)

MakeRun = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """Three seeds of two configs, of which `good` is the better one, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        make_run(f"bad-{seed}", seed=seed, wrong=0.4, n=60, thumbnails=False)
        make_run(f"good-{seed}", seed=10 + seed, wrong=0.05, n=60, lr=2e-3, thumbnails=False)
    return tmp_path


def printed(capsys: Capture, *arguments: str) -> str:
    assert main(["compare", *arguments]) == 0
    return capsys.readouterr().out


def test_the_table_and_the_object_have_the_same_numbers(runs: Path, capsys: Capture) -> None:
    found = json.loads(printed(capsys, "bad-*", "good-*", "--json", "--difference", "0.02"))
    assert (found["runs"], found["over"], found["images"], found["samples"]) == ({"bad": 3, "good": 3}, "both", 60, 50)
    table = printed(capsys, "bad-*", "good-*", "--difference", "0.02")
    for key, groups in found["metrics"].items():
        for name, level in groups.items():
            interval = level["intervals"]["both"]
            assert any(
                line.split()[:3] == [key, name, "3"] and f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]" in line
                for line in table.splitlines()
            )
    difference = found["differences"]["top1"]["good"]
    assert difference["verdict"] == "better"
    assert set(difference["tests"]) == {"images", "seeds", "both"}
    assert f"{difference['value']:+.3f} [" in table
    assert difference["needed"]["difference"] == 0.02
    assert "better" in table
    assert printed(capsys, "bad-0", "bad-1", "bad-2", "good-0", "good-1", "good-2", "--difference", "0.02") == table, (
        "a shell expands patterns"
    )


@pytest.mark.parametrize(
    ("form", "begin"), [("markdown", "| metric | group |"), ("csv", "metric,group,"), ("latex", "% value"), ("html", "<table>")]
)
def test_formats(runs: Path, capsys: Capture, form: str, begin: str) -> None:
    text = printed(capsys, "worse=bad-*", "better=good-*", "--format", form, "--metrics", "mean_iou,top1")
    assert text.startswith(begin)
    assert text.endswith("\n")
    assert r"mean\_iou" in text if form == "latex" else "mean_iou" in text
    assert "worse" in text
    if form == "csv":
        records = list(csv.DictReader(io.StringIO(text)))
        assert [(each["metric"], each["group"]) for each in records] == [(k, g) for k in ("mean_iou", "top1") for g in ("worse", "better")]
        assert float(records[1]["difference"]) == pytest.approx(float(records[1]["mean"]) - float(records[0]["mean"]))


def test_the_first_group_against_itself_shows_no_difference(runs: Path, capsys: Capture) -> None:
    text = printed(capsys, "a=bad-*", "b=bad-*")
    assert text.count("no difference shown") == 4, "one for each headline metric"
    assert "+0.000 [" in text


def test_the_metrics_of_the_help_are_those_of_localization(runs: Path, capsys: Capture) -> None:
    keys = EXAMPLES.split("--metrics ")[1].split()[0]
    found = json.loads(printed(capsys, "bad-*", "good-*", "--metrics", keys, "--json"))
    assert list(found["metrics"]) == keys.split(",")


def test_one_group_has_no_differences(runs: Path, capsys: Capture) -> None:
    text = printed(capsys, "good-*", "--over", "seeds")
    assert "verdict" not in text
    assert "for other seeds], on" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing-*"], "no folder matches"),
        (["nothing"], "not a run folder"),
        (["bad-0", "good-*", "--over", "both"], "--over images"),
        (["bad-*", "good-*", "--metrics", "top2"], "unknown metric 'top2'"),
        (["bad-*", "good-*", "--difference", "0"], "difference"),
        (["bad-*", "good-*", "--samples", "0"], "samples"),
        (["all=*-*"], "differ in their seeds alone"),
        (["bad-0", "bad-0"], "seed 0 twice"),
        (["bad-*", "--json", "--format", "csv"], "--format"),
        (["bad-*", "--config.seed=1"], "unknown option '--config.seed=1'; see imgloc compare --help"),
        (["bad-*", "--json", "good-*"], "unexpected argument 'good-*'; see imgloc compare --help"),
        (["bad-*", "--over", "moons"], "moons"),
        (["bad-*", "--split", "validation"], "imgloc evaluate"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(runs: Path, capsys: Capture, arguments: list[str], reason: str) -> None:
    assert main(["compare", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert reason in output.err
