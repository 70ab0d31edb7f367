"""Own folders: formats, places of splits, sources of class names, odd names and encodings, in every combination.

Each folder is written here from a table of what is true, without imgloc's writers, and is read through the source `folder`. It must
give exactly that table, or be refused in one line.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.data.annotated.annotations import Annotation
from imgloc.data.checks.faults import KINDS
from imgloc.data.sources import folder
from imgloc.errors import UserError
from imgloc.types import Truth
from tests import tool_folders

WIDTH, HEIGHT = 40, 20
SPLITS = ("train", "validation", "test")
NAMES: dict[str, Callable[[int], str]] = {
    "plain": lambda i: f"img{i}.jpg",
    "spaces": lambda i: f"my img {i}.jpg",
    "upper": lambda i: f"IMG_{i}.JPG",
    "composed": lambda i: unicodedata.normalize("NFC", f"café_{i}.jpg"),
    "decomposed": lambda i: unicodedata.normalize("NFD", f"café_{i}.jpg"),
    "dots": lambda i: f"a.b.{i}.jpeg",
    "jfif": lambda i: f"{i}_photo.jfif",
}
CLASSES = {"plain": ("cat", "dog"), "umlaut": ("Käfer", "Vogel"), "spaces": ("stop sign", "traffic light"), "numbers": ("7", "11")}
SPLIT_FOLDERS = {
    "short": ("train", "val", "test"),
    "long": ("training_set", "validation_set", "test_set"),
    "images": ("train_images", "valid_images", "test_images"),
    "prefix": ("seg_train", "seg_val", "seg_test"),
    "upper": ("TRAIN", "VALID", "TEST"),
}


@dataclass(frozen=True)
class Picture:
    """What is true of one image."""

    name: str
    split: str  # "" in a data set without splits
    boxes: tuple[tuple[str, tuple[int, int, int, int]], ...]  # class and edges in pixels
    number: int


def jpeg(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (40 * number, 120, 30)).save(content, "JPEG")
    return content.getvalue()


JPEGS = [jpeg(number) for number in range(6)]


def pictures(names: str, classes: tuple[str, ...], *, with_splits: bool) -> list[Picture]:
    """Six images, two of each split, one of them with two boxes, of which the first is the largest."""
    found = []
    for i in range(6):
        label, other = classes[i % 2], classes[(i + 1) % 2]
        boxes = [(label, (2 + i, 1, 22 + i, 15))] + ([(other, (1, 2, 9, 8))] if i == 3 else [])
        found.append(Picture(NAMES[names](i), SPLITS[i // 2] if with_splits else "", tuple(boxes), i))
    return found


def place(root: Path, picture: Picture, folder_of: dict[str, str]) -> str:
    """Writes an image below the folder of its split and returns its path."""
    path = "/".join(part for part in (folder_of.get(picture.split, ""), picture.name) if part)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(JPEGS[picture.number])
    return path


def write(root: Path, name: str, text: str, encoding: str = "utf-8") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    # Latin-1 has no combining characters: a name in a text then differs from that of its file.
    (root / name).write_bytes((unicodedata.normalize("NFC", text) if encoding == "latin-1" else text).encode(encoding))


def write_csv(root: Path, every: list[Picture], splits: str, encoding: str, dialect: str) -> None:
    folder_of = dict(zip(SPLITS, SPLIT_FOLDERS.get(splits, ("", "", "")), strict=True))
    separator = {"comma": ",", "semicolon": ";", "sep": ";", "tab": "\t"}[dialect]
    tables: dict[str, list[str]] = {}
    for picture in every:
        path = place(root, picture, folder_of)
        table = f"{picture.split}_labels.csv" if splits == "list" else "labels.csv"
        for label, box in picture.boxes:
            cells = [path, label, *map(str, box), *([picture.split] if splits == "column" else [])]
            tables.setdefault(table, []).append(separator.join(cells))
    header = separator.join(["filename", "class", "xmin", "ymin", "xmax", "ymax", *(["split"] if splits == "column" else [])])
    for table, lines in tables.items():
        write(root, table, "\r\n".join([*(["sep=;"] if dialect == "sep" else []), header, *lines]) + "\r\n", encoding)


def write_coco(root: Path, every: list[Picture], splits: str, encoding: str) -> None:
    folder_of = dict(zip(SPLITS, SPLIT_FOLDERS.get(splits, ("", "", "")), strict=True))
    ids = {name: i for i, name in enumerate(sorted({label for picture in every for label, _ in picture.boxes}), start=1)}
    for split in dict.fromkeys(picture.split for picture in every) if splits == "list" else [""]:
        images, annotations = [], []
        for i, picture in enumerate(picture for picture in every if not split or picture.split == split):
            images.append({"id": i, "file_name": place(root, picture, folder_of), "width": WIDTH, "height": HEIGHT})
            for label, (x0, y0, x1, y1) in picture.boxes:
                annotations.append({"id": len(annotations), "image_id": i, "category_id": ids[label], "bbox": [x0, y0, x1 - x0, y1 - y0]})
        content = {"images": images, "annotations": annotations, "categories": [{"id": i, "name": name} for name, i in ids.items()]}
        write(root, f"instances_{split}.json" if split else "annotations.json", json.dumps(content, ensure_ascii=False), encoding)


def write_voc(root: Path, every: list[Picture], splits: str, encoding: str) -> None:
    folder_of = dict(zip(SPLITS, SPLIT_FOLDERS.get(splits, ("JPEGImages",) * 3), strict=True)) | {"": "JPEGImages"}
    for picture in every:
        path = place(root, picture, folder_of)
        stem = picture.name.rpartition(".")[0]
        objects = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for label, (x0, y0, x1, y1) in picture.boxes
        )
        declared = {"utf-8": "", "utf-8-sig": "", "utf-16": "", "latin-1": '<?xml version="1.0" encoding="ISO-8859-1"?>'}[encoding]
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        xml = f"{declared}<annotation><filename>{picture.name}</filename>{size}{objects}</annotation>"
        target = f"Annotations/{stem}.xml" if "JPEGImages" in path else path.rpartition(".")[0] + ".xml"
        write(root, target, xml, encoding)
        if splits.startswith("list"):
            line = {"list": stem, "list with suffix": picture.name, "list with flag": f"{stem}  1"}[splits]
            name = {"validation": "val"}.get(picture.split, picture.split)
            path_of_list = root / f"ImageSets/Main/{name}.txt"
            path_of_list.parent.mkdir(parents=True, exist_ok=True)
            with path_of_list.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def write_yolo(root: Path, every: list[Picture], splits: str, source: str) -> None:
    folder_of = dict(zip(SPLITS, SPLIT_FOLDERS.get(splits, ("data/obj",) * 3), strict=True)) | {"": "images"}
    labels = sorted({label for picture in every for label, _ in picture.boxes})
    lists: dict[str, list[str]] = {}
    for picture in every:
        path = place(root, picture, folder_of)
        rows = [
            f"{labels.index(label)} {(x0 + x1) / 2 / WIDTH} {(y0 + y1) / 2 / HEIGHT} {(x1 - x0) / WIDTH} {(y1 - y0) / HEIGHT}\n"
            for label, (x0, y0, x1, y1) in picture.boxes
        ]
        write(
            root,
            ("labels" + path.removeprefix("images") if path.startswith("images/") else path).rpartition(".")[0] + ".txt",
            "".join(rows),
        )
        lists.setdefault({"train": "train", "validation": "valid", "test": "test", "": ""}[picture.split], []).append(path)
    named = "".join(f"{label}\n" for label in labels)
    if splits == "list":
        for name, paths in lists.items():
            write(root, f"data/{name}.txt", "".join(f"{path}\n" for path in paths))
    if source == "yaml":
        paths = {"train": "train", "valid": "val", "test": "test"}
        lines = [f"{paths[name]}: data/{name}.txt\n" for name in lists] if splits == "list" else []
        write(root, "data.yaml", "".join(lines) + "names:\n" + "".join(f"  {i}: {json.dumps(x)}\n" for i, x in enumerate(labels)))
    elif source == "darknet":
        lines = [f"{name} = data/{name}.txt\n" for name in lists] if splits == "list" else []
        write(root, "data/obj.data", f"classes = {len(labels)}\n" + "".join(lines) + "names = data/obj.names\n")
        write(root, "data/obj.names", named)
        write(root, "data/coco.names", "person\nbicycle\n")
    else:
        write(root, "classes.txt", named)


def write_class_folders(root: Path, every: list[Picture], splits: str) -> None:
    folder_of = dict(zip(SPLITS, SPLIT_FOLDERS.get(splits, ("", "", "")), strict=True))
    for picture in every:
        below = "/".join(part for part in (folder_of.get(picture.split, ""), picture.boxes[0][0]) if part)
        place(root, picture, {picture.split: below})
        if splits == "list":
            with (root / f"{picture.split}.txt").open("a", encoding="utf-8") as file:
                file.write(f"{below}/{picture.name}\n")


def write_tool(root: Path, every: list[Picture], form: str, splits: str, variant: str) -> list[Picture]:
    """Writes a folder of an annotation tool or a public data set; returns the images with the names by which they are read."""
    folder_of = dict(zip(SPLITS, SPLIT_FOLDERS.get(splits, ("", "", "")), strict=True))
    if form == "wider_face":
        every = [dataclasses.replace(picture, boxes=tuple(("face", box) for _, box in picture.boxes)) for picture in every]
    if form in ("mot", "cvat video"):
        every = [dataclasses.replace(picture, name=f"{'' if form == 'mot' else 'frame_'}{picture.number + 1:06d}.jpg") for picture in every]
        if variant == "pedestrians":
            every = [dataclasses.replace(picture, boxes=tuple(("pedestrian", box) for _, box in picture.boxes)) for picture in every]
        below = "seq/img1" if form == "mot" else "images"
        folder_of = {split: f"{folder_of.get(split, '')}/{below}".lstrip("/") for split in (*SPLITS, "")}
    entries = [
        Annotation(
            place(root, picture, folder_of), np.array([box for _, box in picture.boxes], np.float64),
            tuple(label for label, _ in picture.boxes), width=WIDTH, height=HEIGHT, split=picture.split if splits == "list" else "",
        )
        for picture in every
    ]  # fmt: skip
    if form == "labelme":
        tool_folders.write_labelme(entries, root, apart=variant == "apart")
    elif form == "createml":
        tool_folders.write_createml(entries, root, convention=variant or "center", old=variant == "")
    elif form == "via":
        tool_folders.write_via(entries, root, version=1 if variant == "version 1" else 2, project=variant == "project")
    elif form == "mot":
        tool_folders.write_mot(entries, root, labels=variant == "labels")
    elif form == "huggingface":
        tool_folders.write_huggingface(entries, root, table=variant == "table")
    elif form == "parquet":
        found = tool_folders.write_parquet(entries, root, convention=variant, dicts=variant == "xyxy", features=variant != "cxcywh")
        name_of = {entry.file: name for name, entry in found.items()}
        every = [dataclasses.replace(picture, name=name_of[entry.file]) for picture, entry in zip(every, entries, strict=True)]
    else:
        {"cvat": tool_folders.write_cvat, "cvat video": tool_folders.write_cvat_video, "wider_face": tool_folders.write_wider_face}[form](
            entries, root
        )  # fmt: skip
    return every


Case = tuple[str, str, str, str, str]  # format, splits, names, classes, and an encoding, dialect or source of class names


def cases() -> Iterator[Case]:
    """Every combination."""
    by_folder = ("none", *SPLIT_FOLDERS)
    names, classes = tuple(NAMES), tuple(CLASSES)
    yield from itertools.product(["csv"], (*by_folder, "list", "column"), names, classes[1:2], ["utf-8", "utf-16", "latin-1"])
    yield from itertools.product(["csv dialects"], ("column",), names, classes[:1], ["semicolon", "sep", "tab"])
    yield from itertools.product(["coco"], (*by_folder, "list"), names, classes[1:2], ["utf-8", "utf-8-sig"])
    lists = ("list", "list with suffix", "list with flag")
    yield from itertools.product(["voc"], (*by_folder, *lists), names, classes[1:2], ["utf-8", "latin-1"])
    yield from itertools.product(["yolo"], (*by_folder, "list"), names, classes[2:3], ["yaml", "darknet", "classes.txt"])
    yield from itertools.product(["class_folders"], (*by_folder, "list"), names, classes[:2], [""])
    yield from itertools.product(["labelme"], by_folder, names, classes[1:2], ["beside", "apart"])
    conventions = ("center", "top_left", "normalized_center", "normalized_top_left")
    yield from itertools.product(["createml"], (*by_folder, "list"), names, classes[1:2], ["", *conventions])
    yield from itertools.product(["via"], (*by_folder, "list"), names, classes[1:2], ["version 1", "version 2", "project"])
    yield from itertools.product(["cvat"], (*by_folder, "list"), names, classes[1:2], [""])
    yield from itertools.product(["cvat video"], by_folder, names[:1], classes, [""])
    yield from itertools.product(["wider_face"], (*by_folder, "list"), names, classes[:1], [""])
    yield from itertools.product(["mot"], by_folder, names[:1], classes, ["labels", "pedestrians"])
    yield from itertools.product(["huggingface"], by_folder, names, classes[1:2], ["lines", "table"])
    yield from itertools.product(["parquet"], ("none", "list"), names, classes[1:2], ["xywh", "xyxy", "cxcywh", "normalized_xywh"])


def build(root: Path, case: Case) -> list[Picture]:
    form, splits, names, classes, variant = case
    every = pictures(names, CLASSES[classes], with_splits=splits != "none")
    if form == "csv":
        write_csv(root, every, splits, variant, "comma")
    elif form == "csv dialects":
        write_csv(root, every, splits, "utf-8", variant)
    elif form == "coco":
        write_coco(root, every, splits, variant)
    elif form == "voc":
        write_voc(root, every, splits, variant)
    elif form == "yolo":
        write_yolo(root, every, splits, variant)
    elif form == "class_folders":
        write_class_folders(root, every, splits)
    else:
        return write_tool(root, every, form, splits, variant)
    return every


def convention_of(case: Case) -> str:
    return case[-1] if case[0] in ("createml", "parquet") else ""


def read(root: Path, convention: str) -> dict[str, tuple[str, str, list[tuple[str, tuple[float, ...]]]]]:
    """Each image by base name, or by its row in a Parquet file: its split, its class, and its boxes in pixels."""
    images = {}
    for split in SPLITS:
        try:
            source = folder.source(split, seed=0, folder=str(root), convention=convention, validation=0.0, test=0.0)
        except UserError as error:
            if "has no images" not in str(error):
                raise
            continue
        for i in range(len(source)):
            truth: Truth = source.known(i)
            rows = truth.boxes_nx4 * np.array([WIDTH, HEIGHT] * 2)
            boxes = [(source.classes[k], tuple(row.tolist())) for k, row in zip(truth.labels_n, rows, strict=True)]
            name = truth.id if ".parquet/" in truth.id else truth.id.rpartition("/")[2]
            assert source[i].boxes_nx4.tolist() == truth.boxes_nx4.tolist()
            images[name] = (split, source.classes[truth.label], boxes)
    return images


CASES = list(cases())


def test_there_are_as_many_combinations_as_promised() -> None:
    assert len(CASES) == len(set(CASES)) >= 900


@pytest.mark.parametrize("form", sorted({case[0] for case in CASES}))
def test_every_combination_is_read_as_it_was_written(form: str, tmp_path: Path) -> None:
    for number, case in enumerate(case for case in CASES if case[0] == form):
        root = tmp_path / str(number)
        every = build(root, case)
        images = read(root, convention_of(case))
        assert set(images) == {picture.name for picture in every}, case
        for picture in every:
            split, label, boxes = images[picture.name]
            assert split == (picture.split or "train"), case
            assert label == picture.boxes[0][0], case
            if form != "class_folders":
                assert [name for name, _ in boxes] == [name for name, _ in picture.boxes], case
                np.testing.assert_allclose([box for _, box in boxes], [box for _, box in picture.boxes], atol=1e-4, err_msg=str(case))
        if number % 10 == 0:
            findings = folder.check_data(thorough=False, folder=str(root), convention=convention_of(case))
            serious = [fault for fault in findings.faults if KINDS[fault.kind].serious]
            assert not serious, (case, serious)
