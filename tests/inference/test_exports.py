"""Predictions in the formats of other tools: each box is the same in all of them, and they are read back by other code."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from imgloc.api.coco_results import evaluate_coco
from imgloc.api.data import data_config
from imgloc.config.build import make_source
from imgloc.config.registry import declared
from imgloc.data.formats import coco as coco_reader
from imgloc.evaluation.image_sizes import image_sizes
from imgloc.evaluation.scoring import intervals
from imgloc.inference.export import check_format, export
from imgloc.interfaces import Export, ImageRow, Task
from imgloc.tasks import classify, detect, localize
from imgloc.types import Example
from tests.data.checks.test_examples import Listed
from tests.refusals import assert_refused

CLASSES = ("cat", "dog")


@st.composite
def image_rows(draw: st.DrawFn) -> list[ImageRow]:
    def box() -> list[float]:
        low = [draw(st.floats(0, 0.7)) for _ in range(2)]
        return [*low, *(edge + draw(st.floats(0.01, 0.3)) for edge in low)]

    rows = []
    for number in range(draw(st.integers(1, 4))):
        row: dict[str, Any] = {"id": f"{number}.png", "boxes": [box()], "labels": [draw(st.integers(0, 1))], "pred_box": box()}
        row |= {"top_labels": [draw(st.integers(0, 1))], "top_scores": [draw(st.floats(0, 1))]}
        rows.append(ImageRow(row["id"], draw(st.integers(1, 3000)), draw(st.integers(1, 3000)), row))
    return rows


def files(name: str, rows: list[ImageRow], task: Task = localize.TASK) -> dict[str, str]:
    return dict(declared("inference.exports", name, Export).files(rows, CLASSES, task))


@given(image_rows())
def test_every_format_has_the_same_boxes_in_its_own_convention(rows: list[ImageRow]) -> None:
    results = json.loads(files("coco", rows)["results.json"])
    table = list(csv.DictReader(io.StringIO(files("csv", rows)["predictions.csv"])))
    texts = files("yolo", rows)
    assert len(results) == len(table) == len(rows) == len(texts) - 1
    for each, result, record in zip(rows, results, table, strict=True):
        size = np.array([each.width, each.height] * 2)
        expected = np.array(each.row["pred_box"]) * size
        x, y, width, height = result["bbox"]
        np.testing.assert_allclose([x, y, x + width, y + height], expected, atol=2e-3)
        np.testing.assert_allclose([float(record[edge]) for edge in ("x0", "y0", "x1", "y1")], expected, atol=1e-3)
        (line,) = texts[f"labels/{each.name.removesuffix('.png')}.txt"].splitlines()
        label, cx, cy, w, h, score = (float(number) for number in line.split())
        np.testing.assert_allclose(np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * size, expected, atol=2e-6 * 3000)
        assert int(label) == result["category_id"] - 1 == CLASSES.index(record["class"]) == each.row["top_labels"][0]
        for got in (score, result["score"], float(record["score"])):
            assert got == pytest.approx(each.row["top_scores"][0], abs=1e-6)
    assert texts["classes.txt"].split() == list(CLASSES)
    truth = json.loads(files("coco", rows)["ground_truth.json"])
    assert [(image["id"], image["file_name"]) for image in truth["images"]] == [(i, row.name) for i, row in enumerate(rows, start=1)]
    assert {result["image_id"] for result in results} == {image["id"] for image in truth["images"]}
    assert {category["id"]: category["name"] for category in truth["categories"]} == {1: "cat", 2: "dog"}


def test_the_ground_truth_is_read_back_as_a_coco_data_set(tmp_path: Path) -> None:
    row = {
        "id": "a.png",
        "boxes": [[0.25, 0.5, 0.75, 1.0]],
        "labels": [1],
        "pred_box": [0, 0, 1, 1],
        "top_labels": [0],
        "top_scores": [0.5],
    }
    (tmp_path / "annotations.json").write_text(files("coco", [ImageRow("a.png", 40, 20, row)])["ground_truth.json"])
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    (image,) = coco_reader.read(tmp_path).images
    assert (image.file, image.names) == ("a.png", ("dog",))
    np.testing.assert_allclose(image.boxes_nx4, [[10, 10, 30, 20]])


def test_crowds_and_difficult_objects_count_in_the_files_as_in_the_run(tmp_path: Path) -> None:
    def row(number: int, boxes: list[list[float]], found: list[list[float]], **others: Any) -> ImageRow:
        row = {"id": f"{number}.png", "group": str(number), "width": 100, "height": 200, "boxes": boxes, "labels": [0] * len(boxes)}
        detected = {"detected_boxes": found, "detected_labels": [0] * len(found), "detected_scores": [0.75, 0.625, 0.5][: len(found)]}
        return ImageRow(row["id"], 100, 200, {**row, **detected, **others})

    small, large, inside = [0.125, 0.125, 0.25, 0.25], [0.5, 0.5, 1.0, 1.0], [0.625, 0.625, 0.75, 0.75]
    rows = [
        row(0, [small], [inside, small], crowd_boxes=[large], crowd_labels=[0]),
        row(1, [small, large], [large, small], difficult=[False, True]),
        row(2, [small], [large, small]),
    ]
    for name, text in files("coco", rows, detect.TASK).items():
        (tmp_path / name).write_text(text)
    of_files = evaluate_coco(tmp_path / "results.json", tmp_path / "ground_truth.json", samples=10)
    of_run = intervals([each.row for each in rows], CLASSES, None, samples=10)
    assert 0 < of_run["ap"].mean < 1
    for key in ("ap", "ap50", "ap75", "ap_small", "ar_100", "precision", "recall", "f1", "error_background"):
        assert of_files[key] == of_run[key], key
    truth = COCO(tmp_path / "ground_truth.json")
    official = COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), "bbox")
    official.evaluate()
    official.accumulate()
    official.summarize()
    assert official.stats[0] == pytest.approx(of_run["ap"].mean)


def test_answers_that_are_not_finite_and_names_that_leave_the_folder(tmp_path: Path) -> None:
    good = {"id": "x", "pred_box": [0, 0, 1, 1], "top_labels": [0], "top_scores": [0.5]}
    rows = [
        ImageRow("../up.png", 4, 4, good),
        ImageRow("/elsewhere/up.jpg", 4, 4, good),
        ImageRow("sub/b.png", 4, 4, {**good, "finite": False}),
    ]
    folder = export(check_format("yolo", "localize", localize.TASK), rows, CLASSES, localize.TASK, tmp_path / "out")
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert written == ["classes.txt", "export.json", "labels/sub/b.txt", "labels/up-2.txt", "labels/up.txt"]
    assert (folder / "labels/sub/b.txt").read_text() == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert "ground_truth.json" not in files("coco", rows), "these rows have no truth"


def test_a_task_without_boxes_has_a_line_for_each_image_and_no_coco() -> None:
    row = {"id": "x", "top_labels": [1], "top_scores": [0.25]}
    text = files("csv", [ImageRow("a.png", 4, 6, row)], classify.TASK)["predictions.csv"]
    assert text.splitlines() == ["image,width,height,class,score", "a.png,4,6,dog,0.25"]
    for name in ("coco", "yolo"):
        assert_refused(lambda name=name: check_format(name, "classify", classify.TASK), "needs boxes", "'classify'", "possible: csv")
    assert_refused(lambda: check_format("voc", "classify", classify.TASK), "unknown export format 'voc'", "possible: coco, csv, yolo")


def test_sizes_are_those_of_the_images_of_a_source() -> None:
    def example(name: str, height: int, width: int) -> Example:
        return Example(np.zeros((height, width, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int32), 0, name, name)

    assert image_sizes(Listed((example("a", 2, 3), example("b", 5, 4)))) == {"a": (3, 2), "b": (4, 5)}


def test_sizes_of_a_folder_are_those_of_the_upright_images_at_full_size(tmp_path: Path) -> None:
    for name, orientation in (("a", 1), ("b", 6)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        (tmp_path / name).mkdir()
        for number in range(8):
            Image.new("RGB", (64, 48), (30 * number, 0, 0)).save(tmp_path / name / f"{number}.jpg", exif=exif)
    sizes = image_sizes(make_source(data_config(tmp_path).data, "train", 0))
    assert {size for name, size in sizes.items() if name.startswith("a/")} == {(64, 48)}
    assert {size for name, size in sizes.items() if name.startswith("b/")} == {(48, 64)}
