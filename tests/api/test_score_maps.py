"""imgloc.evaluate_wsol on folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import imgloc
from tests.processes import ROOT
from tests.refusals import assert_refused
from tests.score_maps.written_maps import IDS, write_case


def test_box_metrics_of_a_folder(tmp_path: Path) -> None:
    maps, metadata = write_case(tmp_path)
    classes = tmp_path / "classes.txt"
    classes.write_text("".join(f"{image},{min(number, 3)}\n" for number, image in enumerate(IDS)))  # the last one is wrong
    found = imgloc.evaluate_wsol(maps, metadata, classes=classes, threshold=0.1, samples=50)
    assert found.images == 5
    # The box of the upper level has 101 x 101 pixels; the true ones have 101, 81, 61, 41 and 21 columns of it.
    assert {key: interval.mean for key, interval in found.metrics.items() if key.startswith("max_box_acc_v2")} == {
        "max_box_acc_v2_30": 0.8, "max_box_acc_v2_50": 0.6, "max_box_acc_v2_70": 0.4, "max_box_acc_v2_mean": pytest.approx(0.6),
    }  # fmt: skip
    assert found.metrics["max_top1_loc_30"].mean == pytest.approx(0.8)
    assert found.metrics["top1_acc"].mean == pytest.approx(0.8)
    # The box of the lower level, 161 x 161 pixels, reaches an IoU of .3 with the first two alone, at thresholds below 0.5.
    assert found.metrics["box_acc_30"].mean == pytest.approx(0.4)
    assert found.metrics["box_acc_50"].mean == 0
    assert 0.49 < found.best_thresholds["max_box_acc_50"] < 0.51
    assert found.correct["max_box_acc"]["30"].tolist() == [2] * 499 + [4] * 501
    assert all(0 <= each.low <= each.mean <= each.high <= 1 for each in found.metrics.values())


def test_pixel_metrics_of_a_folder(tmp_path: Path) -> None:
    maps, _ = write_case(tmp_path)
    found = imgloc.evaluate_wsol(maps, tmp_path / "masked", tmp_path / "masks", interval=0.01, samples=50)
    assert list(found.metrics) == ["pxap"]
    assert found.pixels is not None
    assert found.pixels.shape == (2, 102)
    assert found.pixels.sum() == 5 * 224 * 224
    assert 0 < found.metrics["pxap"].low < found.metrics["pxap"].mean < found.metrics["pxap"].high < 1


def test_mistakes_are_named(tmp_path: Path) -> None:
    maps, metadata = write_case(tmp_path)
    (tmp_path / "classes.txt").write_text(f"{IDS[0]},1\n")
    evaluate = imgloc.evaluate_wsol
    assert_refused(lambda: evaluate(maps, tmp_path / "masked"), "names masks", "--masks")
    assert_refused(lambda: evaluate(maps, tmp_path / "masked", tmp_path / "masks", threshold=0.5), "without threshold")
    assert_refused(lambda: evaluate(maps, metadata, tmp_path / "masks"), "names no masks")
    assert_refused(lambda: evaluate(maps, metadata, classes=tmp_path / "classes.txt"), "no class for 4 images", IDS[1])
    assert_refused(lambda: evaluate(maps, metadata, threshold=1), "less than 1")
    assert_refused(lambda: evaluate(maps, metadata, interval=0), "interval")
    assert_refused(lambda: evaluate(maps, metadata, samples=0), "samples")
    assert_refused(lambda: evaluate(maps, tmp_path), "possible: masked, metadata")
    for path in (tmp_path / "masks").iterdir():
        path.write_bytes((tmp_path / "masks" / "0.png").read_bytes())
    (maps / f"{IDS[3]}.npy").unlink()
    assert_refused(lambda: evaluate(maps, metadata), "no score map", f"{IDS[3]}.npy")
    np.save(maps / f"{IDS[3]}.npy", np.full((3, 3), 2.0))
    assert_refused(lambda: evaluate(maps, metadata), f"{IDS[3]}.npy", "from 2 to 2")


def test_scores_of_the_case_are_those_of_the_original(data_folder: Path) -> None:
    case = data_folder / "wsol_case"
    if not case.is_dir():
        pytest.skip("no wsol_case in IMGLOC_DATA")
    expected = json.loads((case / "expected.json").read_text())["evaluate_wsol"]
    for interval in (0.001, 0.01):
        found = imgloc.evaluate_wsol(case / "scoremaps", case / "metadata/ILSVRC/test", interval=interval, samples=2)
        for protocol, key in (("v1", "max_box_acc"), ("v2", "max_box_acc_v2")):
            assert found.metrics[f"{key}_50"].mean * 100 == pytest.approx(expected[f"{protocol}/{interval}/at50"])
            assert found.metrics[f"{key}_mean"].mean * 100 == pytest.approx(expected[f"{protocol}/{interval}/mean"])
    found = imgloc.evaluate_wsol(case / "scoremaps", case / "metadata/OpenImages/test", case / "masks/OpenImages", samples=2)
    assert found.metrics["pxap"].mean * 100 == pytest.approx(expected["pxap/0.001"], abs=1e-9)


def test_score_maps_are_scored_without_jax(tmp_path: Path) -> None:
    maps, metadata = write_case(tmp_path)
    code = f"import sys, imgloc; imgloc.evaluate_wsol({str(maps)!r}, {str(metadata)!r}, samples=2); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
