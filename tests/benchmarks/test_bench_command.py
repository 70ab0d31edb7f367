"""`python -m benchmarks`: one-line errors before anything is timed, and a real run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from benchmarks import rounds
from benchmarks.__main__ import main
from tests import processes


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["steps"], "unknown benchmark 'steps'; did you mean 'step'? possible: cells, infer, input, read, start, step"),
        (["step", "--works=lstm"], "unknown work 'lstm'; did you mean 'lstm_28'"),
        (["infer", "--works=lstm_28"], "unknown work 'lstm_28'; did you mean 'lstm_28_b"),
        (["cells", "--works=lstm_28"], "unknown work 'lstm_28'; did you mean 'lstm_rows'"),
        (["step", "--implementations=torch"], "possible: imgloc, keras, keras_inner, linen, torch_channels_last"),
        (["step", "--settings=tune"], "unknown setting 'tune'; did you mean 'tuned'"),
        (["step", "--processes=0"], "--processes must be at least 1, got 0"),
        (["step", "--json=nowhere/rows.jsonl"], "cannot write --json 'nowhere/rows.jsonl'; it must be a file in a folder that exists"),
        (["step", "--json=tests"], "cannot write --json 'tests'"),
        (["start", "--works=lstm_28"], "not to 'start'"),
        (["start", "--config=nowhere.py"], "no recipe file 'nowhere.py'"),
        (["step", "--workss=lstm_28"], "unknown option '--workss=lstm_28'"),
    ],
)
def test_a_mistake_is_reported_in_one_line_before_anything_is_timed(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(*_: object) -> None:
        raise AssertionError("something was timed")

    monkeypatch.setattr(rounds, "run_worker", timed)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1, err
    assert expected in err


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed")
def test_a_missing_package_is_reported_with_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "--implementations=torch_eager"]) == 2
    err = capsys.readouterr().err
    assert "not installed, left out: torch_eager; pip install 'imgloc[bench]'" in err


def test_a_real_run_prints_a_table_and_writes_its_rows(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in processes.HASTE.items():
        monkeypatch.setenv(name, value)
    rows_file = tmp_path / "rows.jsonl"
    arguments = ["--works=lstm_28", "--implementations=imgloc,linen", "--settings=tuned", "--processes=1", "--quick"]
    done = processes.run("step", *arguments, "--json", str(rows_file), cache=cache, module="benchmarks")
    ours, linen = (json.loads(line) for line in rows_file.read_text().splitlines())
    assert (ours["implementation"], linen["implementation"]) == ("imgloc", "linen")
    assert ours["parameters"] == linen["parameters"] == 16_310
    ratios = pytest.approx(ours["median_ms"] / linen["median_ms"], rel=1e-3)
    assert linen["ratio"] is None or linen["ratio"] == ratios  # there is none on a busy machine; test_steadiness has both cases
    for row in (ours, linen):
        assert {"work", "implementation", "setting", "median_ms", "low_ms", "high_ms", "n", "ratio"} <= set(row)
        assert 0 < row["low_ms"] <= row["median_ms"] <= row["high_ms"]
        assert row["gflop"] == pytest.approx(0.148, abs=0.001)
        assert row["platform"] == "cpu"
        assert row["dtype"] == "float32"
    assert "threads for every implementation" in done.stdout
    assert "lstm_28" in done.stdout
    assert "floor" in done.stdout
