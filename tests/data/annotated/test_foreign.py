"""Annotations of other tools are refused, and the message names the tool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from imgloc.data.annotated.reader import read_folder
from imgloc.data.sources import folder
from tests.refusals import assert_refused


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path)


NAMES = [f"{i}.png" for i in range(4)]
IMAGES = [{"id": i, "file_name": name, "width": 8, "height": 6} for i, name in enumerate(NAMES)]
LABEL_STUDIO = [{"id": i, "data": {"image": f"/data/{name}"}, "annotations": [{"result": []}]} for i, name in enumerate(NAMES)]
NO_CATEGORIES = {"images": IMAGES, "annotations": [{"id": 0, "image_id": 0, "bbox": [1, 1, 2, 2]}]}
VIA_3 = {"project": {"pid": "__VIA_PROJECT_ID__"}, "config": {}, "attribute": {}, "metadata": {}, "view": {}}
FILES = {str(i): {"fid": str(i), "fname": name, "type": 2, "loc": 1, "src": name} for i, name in enumerate(NAMES)}
DATUMARO = {"infos": {}, "categories": {"label": {"labels": []}}}
ITEMS = [{"id": str(i), "annotations": [], "image": {"path": name, "size": [6, 8]}} for i, name in enumerate(NAMES)]
DLIB = "<dataset><images>" + "".join(f'<image file="{name}"/>' for name in NAMES) + "</images></dataset>"
CASES = {
    "label studio": ("a.json", json.dumps(LABEL_STUDIO), "Label Studio"),
    "no categories": ("a.json", json.dumps(NO_CATEGORIES), "no `categories`"),
    "categories by id": ("a.json", json.dumps({**NO_CATEGORIES, "categories": {"1": "cup"}}), "`categories` that is not a list"),
    "via 3": ("a.json", json.dumps({**VIA_3, "file": FILES}), "it looks like a project of VIA 3, which is not read"),
    "datumaro": ("a.json", json.dumps({**DATUMARO, "items": ITEMS}), "it looks like Datumaro's JSON, which is not read"),
    "dlib": ("a.xml", DLIB, "it names images"),
    "captions": ("metadata.jsonl", "".join(f'{{"file_name": "{name}", "text": "a cup"}}\n' for name in NAMES), "it names images"),
    "kaggle": ("a.csv", "image_id,label\n" + "".join(f"{name},1\n" for name in NAMES), "it names images"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("folders", ["", "2024-05-01/", "train_images/"])
def test_the_file_and_what_it_looks_like_are_named(case: str, folders: str, tmp_path: Path) -> None:
    name, content, message = CASES[case]
    for i, image in enumerate(NAMES):
        below = f"{folders}{i % 2}/" if folders.startswith("2024") else folders
        write_picture(tmp_path / below / image)
    (tmp_path / name).write_text(content)
    assert_refused(lambda: folder.source("train", seed=0, folder=str(tmp_path)), name, message)


def test_dated_folders_of_an_unknown_tool_are_no_classes(tmp_path: Path) -> None:
    for day in ("2024-05-01", "2024-05-02"):
        write_picture(tmp_path / day / "0.png")
        (tmp_path / day / "0.json").write_text(json.dumps({"marks": [], "picture": "0.png"}))
    assert_refused(lambda: read_folder(tmp_path), "0.json", "it names images")
    assert read_folder(tmp_path, format="class_folders").classes == ("2024-05-01", "2024-05-02")  # with the format set
