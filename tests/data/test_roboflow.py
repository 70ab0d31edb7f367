"""Exports of Roboflow: each layout, as its archives have it, gives the same images, boxes and splits (`valid` is validation)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.data.annotated.reader import read_folder
from imgloc.data.sources import folder

WIDTH, HEIGHT = 64, 40
CLASSES = ("cat", "dog")
SPLITS = {"train": "train", "valid": "validation", "test": "test"}
BOXES = {"one": [("cat", (4, 6, 20, 30)), ("dog", (10, 2, 60, 38))], "two": [("dog", (0, 0, 32, 20))]}  # edges in pixels
Files = dict[str, str]


def name_of(split: str, picture: str) -> str:
    return f"{picture}_jpg.rf.0{len(split)}ab{len(picture)}.jpg"


def coco(split: str) -> Files:
    images, annotations = [], []
    for number, (picture, objects) in enumerate(BOXES.items()):
        images.append({"id": number, "license": 1, "file_name": name_of(split, picture), "height": HEIGHT, "width": WIDTH})
        for label, (x0, y0, x1, y1) in objects:
            box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "segmentation": [], "iscrowd": 0}
            annotations.append({"id": len(annotations), "image_id": number, "category_id": CLASSES.index(label) + 1, **box})
    categories = [{"id": 0, "name": "animals", "supercategory": "none"}]  # the project
    categories += [{"id": i, "name": name, "supercategory": "animals"} for i, name in enumerate(CLASSES, start=1)]
    content = {"info": {}, "licenses": [], "categories": categories, "images": images, "annotations": annotations}
    return {f"{split}/_annotations.coco.json": json.dumps(content)}


def yolo_text(picture: str) -> str:
    return "".join(
        f"{CLASSES.index(label)} {(x0 + x1) / 2 / WIDTH} {(y0 + y1) / 2 / HEIGHT} {(x1 - x0) / WIDTH} {(y1 - y0) / HEIGHT}\n"
        for label, (x0, y0, x1, y1) in BOXES[picture]
    )


def yolo(split: str) -> Files:
    yaml = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['cat', 'dog']\n"
    texts = {f"{split}/labels/{name_of(split, picture).removesuffix('.jpg')}.txt": yolo_text(picture) for picture in BOXES}
    return {**texts, "data.yaml": yaml + "\nroboflow:\n  workspace: w\n  project: animals\n  version: 1\n"}


def darknet(split: str) -> Files:
    texts = {f"{split}/{name_of(split, picture).removesuffix('.jpg')}.txt": yolo_text(picture) for picture in BOXES}
    return {**texts, f"{split}/_darknet.labels": "cat\ndog\n"}


def voc(split: str) -> Files:
    texts = {}
    for picture, objects in BOXES.items():
        name = name_of(split, picture)
        found = "".join(
            f"<object><name>{label}</name><pose>Unspecified</pose><bndbox><xmin>{x0 + 1}</xmin><xmax>{x1 + 1}</xmax>"
            f"<ymin>{y0 + 1}</ymin><ymax>{y1 + 1}</ymax></bndbox></object>"
            for label, (x0, y0, x1, y1) in objects
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}</filename><source><database>roboflow.com</database></source>{size}{found}</annotation>"
        texts[f"{split}/{name.removesuffix('.jpg')}.xml"] = text
    return texts


def tensorflow(split: str) -> Files:
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for picture, objects in BOXES.items():
        lines += [",".join(map(str, (name_of(split, picture), WIDTH, HEIGHT, label, *box))) for label, box in objects]
    return {f"{split}/_annotations.csv": "\n".join(lines) + "\n"}


def retinanet(split: str) -> Files:
    lines = [",".join(map(str, (name_of(split, picture), *box, label))) for picture, objects in BOXES.items() for label, box in objects]
    return {f"{split}/_annotations.csv": "\n".join(lines) + "\n", f"{split}/_classes.csv": "cat,0\ndog,1\n"}


def createml(split: str) -> Files:
    content = [
        {"image": name_of(split, picture), "annotations": [
            {"label": label, "coordinates": {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}}
            for label, (x0, y0, x1, y1) in objects
        ]}
        for picture, objects in BOXES.items()
    ]  # fmt: skip
    return {f"{split}/_annotations.createml.json": json.dumps(content)}


EXPORTS: dict[str, tuple[Callable[[str], Files], str, str]] = {  # with the folder of images and the format
    "coco": (coco, "", "coco"), "yolo": (yolo, "images/", "yolo"), "darknet": (darknet, "", "yolo"), "voc": (voc, "", "voc"),
    "tensorflow": (tensorflow, "", "csv"), "retinanet": (retinanet, "", "csv"), "createml": (createml, "", "createml"),
}  # fmt: skip


@pytest.mark.parametrize("export", EXPORTS)
def test_every_layout_gives_the_same(export: str, tmp_path: Path) -> None:
    files_of, images, form = EXPORTS[export]
    level = 0
    for split in SPLITS:
        for name, text in files_of(split).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        for picture in BOXES:
            path = tmp_path / split / images / name_of(split, picture)
            path.parent.mkdir(parents=True, exist_ok=True)
            content = io.BytesIO()
            Image.new("RGB", (WIDTH, HEIGHT), (40 * level, 90, 20)).save(content, "JPEG")
            path.write_bytes(content.getvalue())
            level += 1
    (tmp_path / "README.roboflow.txt").write_text("\nAnimals - v1\n\nThe dataset includes 6 images.\nAnimals are annotated.\n")
    (tmp_path / "README.dataset.txt").write_text("# Animals > v1\nhttps://universe.roboflow.com/w/animals\n")
    assert read_folder(tmp_path).format == form
    for split, expected in SPLITS.items():
        source = folder.source(expected, seed=0, folder=str(tmp_path))
        assert len(source) == len(BOXES)
        for i in range(len(source)):
            example = source[i]
            picture = example.id.rpartition("/")[2].partition("_jpg")[0]
            assert example.id.startswith(f"{split}/")
            assert [source.classes[label] for label in example.labels_n] == [label for label, _ in BOXES[picture]]
            pixels = example.boxes_nx4 * np.array([WIDTH, HEIGHT] * 2)
            np.testing.assert_allclose(pixels, [box for _, box in BOXES[picture]], atol=1e-3)
    findings = folder.check_data(thorough=True, folder=str(tmp_path))
    assert [fault.kind for fault in findings.faults] == (["unused_class"] if export == "coco" else [])
