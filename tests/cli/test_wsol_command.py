"""imgloc wsol"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgloc.cli.main import main
from tests.score_maps.written_maps import write_case


def test_the_table_and_the_object_have_every_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps, metadata = write_case(tmp_path)
    arguments = ["wsol", "--scoremaps", str(maps), "--metadata", str(metadata), "--samples", "20", "--threshold", "0.1"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 5
    assert set(found["metrics"]["max_box_acc_v2_mean"]) == {"mean", "low", "high", "n"}
    assert len(found["thresholds"]) == len(found["correct"]["max_box_acc_v2"]["70"]) == 1000
    for key, metric in found["metrics"].items():
        assert f"{key} " in printed
        assert f"{metric['mean']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]" in printed
    assert "MaxBoxAccV2" in printed


def test_masks_give_pixel_average_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps, _ = write_case(tmp_path)
    arguments = ["wsol", "--scoremaps", str(maps), "--metadata", str(tmp_path / "masked"), "--masks", str(tmp_path / "masks")]
    assert main([*arguments, "--samples", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["metrics"]) == ["pxap"]
    assert len(found["pixels"]["foreground"]) == 1002
    assert main([*arguments, "--samples", "20"]) == 0
    assert "pxap" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([], "--metadata"),
        (["--metadata", "{folder}/nowhere"], "image_ids.txt"),
        (["--metadata", "{folder}/masked"], "--masks"),
        (["--metadata", "{folder}/metadata", "--samples", "0"], "samples"),
        (["--metadata", "{folder}/metadata", "--threshold", "nan"], "threshold"),
        (["--metadata", "{folder}/metadata", "more"], "more"),
        (["--metadata", "{folder}/metadata", "--config.seed=1"], "--config.seed=1"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], reason: str) -> None:
    maps, _ = write_case(tmp_path)
    assert main(["wsol", "--scoremaps", str(maps), *(each.format(folder=tmp_path) for each in more)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert reason in printed.err
