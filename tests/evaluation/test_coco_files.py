"""Result files of COCO against pycocotools, their faults, and the command that scores them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgloc
from imgloc.cli.main import main
from imgloc.evaluation.coco_files import read_rows, read_truth
from tests.detection.coco_oracle import NAMES, as_coco, coco_numbers, random_rows
from tests.refusals import assert_refused


def written(folder: Path, truth: object, results: object) -> tuple[Path, Path]:
    """The paths of (results, truth)."""
    paths = folder / "results.json", folder / "instances.json"
    for path, content in zip(paths, (results, truth), strict=True):
        path.write_text(json.dumps(content))
    return paths


def shuffled(seed: int, images: int = 12) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The content of an instances file and of a result file: ids with gaps and in no order, areas of their own, boxes of 0.01 pixels."""
    rng = np.random.default_rng(seed)
    truth, results = as_coco(random_rows(rng, images))
    ids = {number: int(other) for number, other in enumerate(rng.permutation(100)[:images] + 5, start=1)}
    for image in truth["images"]:
        image["id"] = ids[image["id"]]
    for entry in (*truth["annotations"], *results):
        entry["image_id"] = ids[entry["image_id"]]
        entry["category_id"] *= 10
        entry["bbox"] = np.round(np.asarray(entry["bbox"]) * 1.37, 2).tolist()
    for category in truth["categories"]:
        category["id"] *= 10
    for annotation in truth["annotations"]:
        annotation["area"] = round(annotation["area"] * float(rng.uniform(0.5, 1)), 3)
    rng.shuffle(truth["images"])
    rng.shuffle(truth["annotations"])
    for number, annotation in enumerate(truth["annotations"], start=1):
        annotation["id"] = number
    rng.shuffle(results)
    return truth, results


@pytest.mark.parametrize("seed", range(10))
def test_files_have_the_numbers_of_pycocotools(tmp_path: Path, seed: int) -> None:
    truth, results = shuffled(seed)
    found = imgloc.evaluate_coco(*written(tmp_path, truth, results), samples=5)
    expected = {key: value for key, value in coco_numbers(truth, results).items() if key in NAMES}
    assert {key: found[key].mean for key in NAMES if key in found} == {key: pytest.approx(expected[key], abs=1e-9) for key in expected}
    assert found["ap"].n == len(truth["images"])
    assert {key.split("/")[-1] for key in found if key.startswith("ap/class/")} <= {category["name"] for category in truth["categories"]}
    changed = [{**each, "category_id": 10} for each in results]
    assert imgloc.evaluate_coco(*written(tmp_path, truth, changed), samples=1)["ap"].mean != found["ap"].mean


def test_no_results_and_images_without_objects(tmp_path: Path) -> None:
    truth, results = shuffled(1)
    nothing = imgloc.evaluate_coco(*written(tmp_path, truth, []), samples=5)
    assert (nothing["ap"].mean, nothing["recall"].mean) == (0, 0)
    empty = imgloc.evaluate_coco(*written(tmp_path, {**truth, "annotations": []}, results), samples=5)
    assert "ap" not in empty
    assert empty["precision"].mean == 0
    assert set(imgloc.evaluate_coco(*written(tmp_path, {**truth, "annotations": []}, []), samples=5)) >= {"count_error"}


def with_entry(entry: dict[str, Any]) -> Callable[[Any, Any], tuple[Any, Any]]:
    return lambda truth, results: (truth, [*results[:2], {**results[0], **entry}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_entry({"image_id": 4711}), "[2] has the image_id 4711, which no image of the truth has"),
        (with_entry({"category_id": 7}), "[2] has the category_id 7, which no category of the truth has"),
        (with_entry({"bbox": [0, 0, -1, 2]}), "[2] has the bbox [0.0, 0.0, -1.0, 2.0]; width and height must be at least 0"),
        (with_entry({"bbox": [0, 0, 1, 1e200]}), "[2] has the bbox [0.0, 0.0, 1.0, 1e+200]; numbers must be at most 1e+100"),
        (with_entry({"bbox": [-1e300, 0, 1, 1]}), "numbers must be at most 1e+100"),
        (with_entry({"image_id": "x" * 1000}), f"the image_id '{'x' * 76}..., which"),
        (with_entry({"bbox": [0, 0, 1]}), "$[2].bbox"),
        (with_entry({"bbox": None}), "$[2].bbox"),
        (with_entry({"score": "high"}), "$[2].score"),
        (with_entry({"score": float("nan")}), "NaN and Infinity are not JSON values"),
        (lambda truth, results: (truth, {"annotations": results}), "expected a list of objects with image_id"),
        (lambda truth, results: (truth["annotations"], results), "expected an object with images, annotations and categories"),
        (lambda truth, results: ({**truth, "images": []}, results), "has no images"),
        (lambda truth, results: ({**truth, "images": truth["images"] * 2}, results), "two images with the id"),
        (lambda truth, results: ({**truth, "annotations": [{"image_id": 6}]}, results), "$.annotations[0]"),
    ],
)
def test_faults_are_one_line(
    change: Callable[[Any, Any], tuple[Any, Any]], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = written(tmp_path, *change(*shuffled(2)))
    assert_refused(lambda: imgloc.evaluate_coco(*paths, samples=1), message)
    assert main(["evaluate", "--predictions", str(paths[0]), "--truth", str(paths[1])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    results, truth = written(tmp_path, *shuffled(2))
    assert_refused(lambda: read_truth(tmp_path / "none.json"), "there is no file")
    assert_refused(lambda: read_truth(truth / "none.json"), "there is no file")
    assert_refused(lambda: read_truth(tmp_path), "is a folder")
    for content in (b"", b"\xff\xfe", b"\xff\xfe[", b"\xef\xbb\xbf", b"[" * 100_000, results.read_bytes()[:-9]):
        results.write_bytes(content)
        assert_refused(lambda: read_rows(results, read_truth(truth)), "results.json")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_changes_nothing(tmp_path: Path, encoding: str) -> None:
    paths = written(tmp_path, *shuffled(2))
    plain = imgloc.evaluate_coco(*paths, samples=3)
    for path in paths:
        path.write_text(path.read_text(), encoding=encoding)
    assert imgloc.evaluate_coco(*paths, samples=3) == plain


def test_ids_that_are_numbers_and_texts_are_different_images(tmp_path: Path) -> None:
    truth, results = shuffled(2, images=2)
    first, second = (image["id"] for image in truth["images"])
    changed = [{**each, "image_id": str(first) if each["image_id"] == second else first} for each in results]
    annotations = [{**each, "image_id": str(first) if each["image_id"] == second else first} for each in truth["annotations"]]
    paths = written(tmp_path, {**truth, "images": [{"id": first}, {"id": str(first)}], "annotations": annotations}, changed)
    found = imgloc.evaluate_coco(*paths, samples=20)
    assert found["ap"].mean == imgloc.evaluate_coco(*written(tmp_path, truth, results), samples=1)["ap"].mean
    assert found["count_error"].low < found["count_error"].high  # samples of one image alone
    assert imgloc.evaluate_coco(*paths, against=paths[0], samples=2)["ap"].mean == 0


def test_the_command_prints_a_table_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, results = shuffled(3, images=30)
    first, instances = written(tmp_path, truth, results)
    second = tmp_path / "other.json"
    second.write_text(json.dumps(results[::2]))
    files = ["evaluate", "--predictions", str(first), str(second), "--truth", str(instances), "--samples", "20"]
    assert main([*files[:3], *files[4:]]) == 0
    table = capsys.readouterr().out
    found = imgloc.evaluate_coco(first, instances, samples=20)
    assert f"{found['ap50'].mean:.3f} [{found['ap50'].low:.3f}, {found['ap50'].high:.3f}]" in table
    assert main([*files, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["results"][0]["metrics"]["ap"]["mean"] == found["ap"].mean
    assert [each["detections"] for each in printed["results"]] == [len(results), len(results[::2])]
    assert printed["differences"]["ap"]["mean"] == imgloc.evaluate_coco(second, instances, against=first, samples=20)["ap"].mean
    assert main(files) == 0
    assert f"{printed['differences']['recall']['mean']:+.3f} [" in capsys.readouterr().out


def test_the_score_threshold(tmp_path: Path) -> None:
    paths = written(tmp_path, *shuffled(4))
    low, high = (imgloc.evaluate_coco(*paths, samples=1, score_threshold=threshold) for threshold in (0.1, 0.9))
    assert low["recall"].mean > high["recall"].mean
    assert low["ap"] == high["ap"]
    assert imgloc.evaluate_coco(*paths, samples=1)["f1"] == imgloc.evaluate_coco(*paths, samples=1, score_threshold=0.5)["f1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples must be from 1 to 100000, got 0"),
        ({"samples": 100_001}, "samples must be from 1 to 100000, got 100001"),
        ({"score_threshold": float("nan")}, "score_threshold must be a finite number, got nan"),
        ({"score_threshold": float("inf")}, "score_threshold must be a finite number, got inf"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    paths = written(tmp_path, *shuffled(4, images=4))
    assert_refused(lambda: imgloc.evaluate_coco(*paths, **options), message)
    assert_refused(lambda: imgloc.evaluate_coco(*paths, against=paths[0], **options), message)


def test_a_file_named_difference_has_a_column_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, results = shuffled(3)
    written(tmp_path, truth, results)
    monkeypatch.chdir(tmp_path)
    Path("difference").write_text(json.dumps(results[::2]))
    assert main(["evaluate", "--predictions", "results.json", "difference", "--truth", "instances.json", "--samples", "2"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("recall ")]
    found, other = (imgloc.evaluate_coco(path, "instances.json", samples=2)["recall"].mean for path in ("results.json", "difference"))
    assert [float(cell.split()[-1]) for cell in row.split("[")[:3]] == [pytest.approx(v, abs=6e-4) for v in (found, other, other - found)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "RUN, or --predictions FILE with --truth FILE, is required"),
        (["--predictions", "a"], "--predictions needs --truth FILE"),
        (["--truth", "a"], "--truth needs --predictions FILE"),
        (["runs/a", "--samples", "5"], "--samples needs --predictions FILE"),
        (["runs/a", "--truth", "b", "--predictions", "a"], "got 'runs/a'"),
        (["--truth", "b", "--predictions", "a", "--config.seed=1"], "got '--config.seed=1'"),
        (["--truth", "b", "--predictions", "a", "b", "c"], "one file, or two to compare, got 3"),
        (["--truth", "b", "--predictions", "a", "./a"], "--predictions takes two different files, got a and ./a"),
        (["--truth", "b", "--predictions", "a", "--split", "test"], "--predictions cannot be combined with --split"),
        (["--truth", "b", "--predictions", "a", "--checkpoint", "best"], "--predictions cannot be combined with --checkpoint"),
        (["--truth", "b", "--predictions", "a", "--name", "n"], "--predictions cannot be combined with --name"),
        (["--truth", "b", "--predictions", "a", "--export", "coco"], "--predictions cannot be combined with --export"),
        (["--truth", "b", "--predictions", "a", "--partial-predictions", "i"], "cannot be combined with --partial-predictions"),
        (["--truth", "b", "--predictions", "a", "--distributed"], "--predictions cannot be combined with --distributed"),
        (["--truth", "b", "--predictions", "a", "--samples", "0"], "--samples must be from 1 to 100000, got 0"),
        (["--truth", "b", "--predictions", "a", "--score-threshold", "nan"], "--score-threshold must be a finite number, got nan"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_scoring_files_never_loads_jax(tmp_path: Path) -> None:
    results, truth = written(tmp_path, *shuffled(5))
    code = (
        "import sys, imgloc\nfrom imgloc.cli.main import main\n"
        f"assert main(['evaluate', '--predictions', {str(results)!r}, '--truth', {str(truth)!r}, '--samples', '3', '--json']) == 0\n"
        f"imgloc.evaluate_coco({str(results)!r}, {str(truth)!r}, samples=3)\n"
        "print(sorted({'jax', 'flax', 'optax', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
