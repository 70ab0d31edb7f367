"""Folders of the Hugging Face Hub: Parquet files, metadata files, conventions, class names, and damaged files."""

from __future__ import annotations

import builtins
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from PIL import Image

from imgloc.data.formats import csv, huggingface
from imgloc.data.sources import folder
from tests.damaged_folders import assert_cuts_are_safe, assert_damage_is_safe, assert_types_are_safe, boxes_of, read
from tests.picture_folders import damaged, nothing_opened_outside, put, touch
from tests.refusals import assert_refused

ROW: dict[str, Any] = {"file_name": "a.jpg", "width": 50, "objects": {"bbox": [[1, 2, 3, 4], [5, 6.5, 7, 8]], "category": [0, 1]}}
BOXES = [[1, 2, 4, 6], [5, 6.5, 12, 14.5]]
README = (
    "---\ndataset_info:\n  features:\n  - name: objects\n    sequence:\n    - name: category\n      dtype:\n        class_label:\n"
    "          names:\n            '0': zebra\n            '1': cat\n---\n"
)


def jpeg(level: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (50, 40), (level, 0, 0)).save(content, "JPEG")
    return content.getvalue()


def write_parquet(path: Path, rows: list[dict[str, Any]], metadata: dict[str, str] | None = None, *, group: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=group)


@pytest.mark.parametrize(
    "objects",
    [
        {"bbox": [[1, 2, 3, 4], [5, 6.5, 7, 8]], "category": [0, 1]},
        {"bboxes": [[1, 2, 3, 4], [5, 6.5, 7, 8]], "label": [0, 1], "id": [7, 8]},
        [{"bbox": [1, 2, 3, 4], "category": 0, "area": 12}, {"bbox": [5, 6.5, 7, 8], "category": 1, "area": 56}],
        {"bbox": [[1, 2, 3, 4], [5, 6.5, 7, 8]], "categories": ["zebra", "cat"]},
    ],
)  # fmt: skip
def test_objects_are_a_dict_of_lists_or_a_list_of_dicts(objects: Any, tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "train/b.jpg")
    lines = [json.dumps({**ROW, "objects": objects}), json.dumps({"file_name": "b.jpg", "objects": None})]
    put(tmp_path, README_dot_md=README, train__metadata_dot_jsonl="\n".join(lines))
    assert huggingface.recognise(tmp_path)
    annotated = huggingface.read(tmp_path)
    a, b = annotated.images
    assert (a.file, a.names, a.split, a.where) == ("train/a.jpg", ("zebra", "cat"), "train", "train/metadata.jsonl:1")
    assert a.boxes_nx4.tolist() == BOXES
    assert (b.file, b.boxes_nx4.shape) == ("train/b.jpg", (0, 4))
    assert (annotated.classes, annotated.meaning, annotated.faults) == (("zebra", "cat"), "xywh", ())


@pytest.mark.parametrize("dicts", [False, True])
def test_boxes_of_crowds_are_apart(dicts: bool, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    items = [{"bbox": [i, 2, 3, 4], "category": i, "iscrowd": crowd} for i, crowd in enumerate((0, True, 1, False))]
    objects = items if dicts else {key: [item[key] for item in items] for key in items[0]}
    put(tmp_path, metadata_dot_jsonl=json.dumps({"file_name": "a.jpg", "objects": objects}))
    annotated = huggingface.read(tmp_path)
    (entry,) = annotated.images
    assert (entry.names, entry.boxes_nx4.tolist()) == (("0", "3"), [[0, 2, 3, 6], [3, 2, 6, 6]])
    assert (entry.crowd_names, entry.crowd_boxes_mx4.tolist()) == (("1", "2"), [[1, 2, 4, 6], [2, 2, 5, 6]])
    assert (annotated.classes, annotated.faults) == (("0", "1", "2", "3"), ())


def test_columns_of_their_own_and_a_table(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, README_dot_md=README, metadata_dot_csv='file_name,bbox,category\na.jpg,"[[1, 2, 3, 4], [5, 6.5, 7, 8]]","[0, 1]"\n')
    assert huggingface.recognise(tmp_path)
    assert not csv.recognise(tmp_path)
    (entry,) = huggingface.read(tmp_path).images
    assert (entry.names, entry.boxes_nx4.tolist()) == (("zebra", "cat"), BOXES)
    put(tmp_path, metadata_dot_csv="file_name,objects\na.jpg,\"{'bbox': [[1, 2, 3, 4]], 'category': ['dog']}\"\n")
    assert huggingface.read(tmp_path).images[0].names == ("dog",)


@pytest.mark.parametrize("form", [json.dumps, repr])
def test_a_cell_may_have_apostrophes_and_missing_values(form: Callable[[object], str], tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    objects = {"bbox": [[1, 2, 3, 4], [5, 6, 7, 8]], "category": ["person's hat", 'a 5" disk'], "iscrowd": [False, None]}
    cell = form(objects).replace('"', '""')
    put(tmp_path, metadata_dot_csv=f'file_name,objects\na.jpg,"{cell}"\n')
    annotated = huggingface.read(tmp_path)
    assert (annotated.images[0].names, annotated.faults) == (("person's hat", 'a 5" disk'), ())


@pytest.mark.parametrize("cell", ["[1, 2", "[1+2j]", "{1, 2}", "{'bbox': ((1, 2, 3, 4),)}", "[b'x']", "{[]: 1}", "[" * 3000])
def test_a_cell_in_no_form_is_a_fault(cell: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, metadata_dot_csv=f'file_name,objects\na.jpg,"{cell}"\n')
    annotated = huggingface.read(tmp_path)
    assert sum(len(entry.names) for entry in annotated.images) == 0
    assert [fault.kind for fault in annotated.faults] == ["bad_annotation"]


@pytest.mark.parametrize(
    ("convention", "box", "relative", "meaning"),
    [("xywh", [1, 2, 4, 6], False, "xywh"), ("xyxy", [1, 2, 3, 4], False, "corners"), ("cxcywh", [-0.5, 0, 2.5, 4], False, "center"),
     ("normalized_xywh", [1, 2, 4, 6], True, "xywh"), ("normalized_xyxy", [1, 2, 3, 4], True, "corners"),
     ("normalized_cxcywh", [-0.5, 0, 2.5, 4], True, "center")],
)  # fmt: skip
def test_conventions(convention: str, box: list[float], relative: bool, meaning: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, metadata_dot_jsonl=json.dumps(ROW))
    annotated = huggingface.read(tmp_path, convention=convention)
    entry = annotated.images[0]
    assert (entry.boxes_nx4[0].tolist(), entry.relative, annotated.meaning) == (box, relative, meaning)
    assert entry.names == ("0", "1"), "without names, numbers are names"
    assert_refused(lambda: huggingface.read(tmp_path, convention="yxyx"), "possible: cxcywh")


def test_a_number_without_a_name_is_a_fault(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, README_dot_md=README.replace("            '1': cat\n", ""), metadata_dot_jsonl=json.dumps(ROW))
    annotated = huggingface.read(tmp_path)
    assert annotated.images[0].names == ("zebra", "")
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [("unknown_class", "metadata.jsonl:1")]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("{", "bad_annotation"), ("[]", "bad_annotation"), ('{"objects": {}}', "bad_annotation"),
        ('{"file_name": "../a.jpg", "objects": {}}', "outside_folder"), ('{"file_name": "/a.jpg", "objects": {}}', "outside_folder"),
        ('{"file_name": "b.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "category": []}}', "bad_annotation"),
        ('{"file_name": "b.jpg", "objects": {"bbox": [[1, 2, 3]], "category": [1]}}', "bad_annotation"),
        ('{"file_name": "b.jpg", "objects": {"bbox": [[1, 2, 3, NaN]], "category": [1]}}', "bad_annotation"),
        ('{"file_name": "b.jpg", "objects": {"bbox": [[1, 2, 3, 4]], "category": [1.5]}}', "bad_annotation"),
        ('{"file_name": "b.jpg", "objects": "none"}', "bad_annotation"), ("[" * 100_000, "bad_annotation"),
    ],
)  # fmt: skip
def test_a_bad_line_is_a_fault_and_the_others_are_kept(line: str, kind: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put(tmp_path, metadata_dot_jsonl=f"{json.dumps(ROW)}\n{line}\n")
    annotated = huggingface.read(tmp_path)
    assert [(fault.kind, fault.where) for fault in annotated.faults] == [(kind, "metadata.jsonl:2")]
    assert annotated.images[0].boxes_nx4.tolist() == BOXES


def test_parquet_files_have_images_names_and_splits(tmp_path: Path) -> None:
    label = {"names": ["zebra", "cat"], "_type": "ClassLabel"}
    features = {"objects": {"feature": {"category": label}, "_type": "Sequence"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = [{"image": {"bytes": jpeg(i), "path": f"{i}.jpg"}, "width": 50, "height": 40, "objects": ROW["objects"]} for i in range(5)]
    write_parquet(tmp_path / "data/train-00000-of-00001.parquet", rows, metadata)
    write_parquet(tmp_path / "data/validation-00000-of-00001.parquet", rows[3:4], metadata)
    write_parquet(tmp_path / "other/table.parquet", [{"image": "a", "price": 3}])
    with nothing_opened_outside(tmp_path):
        assert huggingface.recognise(tmp_path)
        annotated = huggingface.read(tmp_path)
    assert [(entry.file, entry.split) for entry in annotated.images] == [
        *((f"data/train-00000-of-00001.parquet/image/{i:08d}", "train") for i in range(5)),
        ("data/validation-00000-of-00001.parquet/image/00000000", "validation"),
    ]
    assert annotated.images[4].boxes_nx4.tolist() == BOXES
    assert (annotated.images[4].width, annotated.images[4].where) == (50, "data/train-00000-of-00001.parquet rows[4]")
    assert (annotated.classes, annotated.faults) == (("zebra", "cat"), ())
    source = folder.source("train", seed=0, folder=str(tmp_path), test=0.0)
    assert len(source) == 5
    assert [int(source[i].image_hxwxc[0, 0, 0]) for i in range(5)] == pytest.approx(list(range(5)), abs=1)
    assert source.known(2).boxes_nx4.tolist() == source[2].boxes_nx4.tolist()
    assert np.array_equal(pickle.loads(pickle.dumps(source))[3].image_hxwxc, source[3].image_hxwxc)
    findings = folder.check_data(thorough=True, folder=str(tmp_path), test=0.0)
    assert findings.looked_at == 6
    assert [(fault.kind, fault.where) for fault in findings.serious] == [
        ("duplicate_image", "data/validation-00000-of-00001.parquet/image/00000000")
    ]  # fmt: skip


def test_a_column_of_paths_names_files(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.jpg")
    schema = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    paths = pa.array([{"bytes": None, "path": f"images/{name}.jpg"} for name in "ab"], schema)
    pq.write_table(pa.table({"image": paths, "objects": [ROW["objects"]] * 2}), tmp_path / "train.parquet")
    pq.write_table(pa.table({"file_name": ["images/a.jpg"], "objects": [ROW["objects"]]}), tmp_path / "metadata.parquet")
    files = [(entry.file, entry.split) for entry in huggingface.read(tmp_path).images]
    assert files == [("images/a.jpg", "train"), ("images/b.jpg", "train")]


def test_an_image_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    images = (jpeg(1), jpeg(2)[:100], b"", None)
    rows = [{"image": {"bytes": image, "path": "x.jpg"}, "objects": ROW["objects"]} for image in images]
    write_parquet(tmp_path / "train.parquet", rows)
    findings = folder.check_data(thorough=True, folder=str(tmp_path), validation=0.0, test=0.0)
    unreadable = [fault.where for fault in findings.faults if fault.kind == "unreadable_image"]
    assert unreadable == [f"train.parquet/image/{i:08d}" for i in (1, 2, 3)]


def test_a_missing_pyarrow_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "train.parquet", [{"image": {"bytes": jpeg(1), "path": "a"}, "objects": ROW["objects"]}])
    load = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert_refused(lambda: folder.source("train", seed=0, folder=str(tmp_path)), "pip install 'imgloc[parquet]'")


def test_cut_files_and_values_of_other_types(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    put(tmp_path, README_dot_md=README, metadata_dot_jsonl=f"{json.dumps(ROW)}\n{json.dumps({**ROW, 'file_name': 'b.jpg'})}\n")
    assert_cuts_are_safe(huggingface, tmp_path, "metadata.jsonl", lines=True)
    assert_types_are_safe(huggingface, "metadata.jsonl", [ROW], "a.jpg", "b.jpg", lines=True)
    items = {**ROW, "objects": [{"bbox": [1, 2, 3, 4], "category": 0}]}
    assert_types_are_safe(huggingface, "metadata.jsonl", [ROW, items], "a.jpg", "b.jpg", lines=True)


def test_damaged_parquet_files_give_right_boxes_or_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    rows = [{"image": {"bytes": b"x", "path": f"{i}.jpg"}, "objects": {"bbox": [[i, 2, 3, 4]], "category": [i]}} for i in range(4)]
    write_parquet(path, rows)
    content, whole = path.read_bytes(), boxes_of(huggingface.read(tmp_path))
    random = np.random.default_rng(0)
    refused = 0
    for case in range(200):
        damage = bytearray(content[: int(random.integers(len(content)))] if case % 2 else content)
        if case % 2 == 0:
            damage[int(random.integers(len(damage)))] ^= 255
        path.write_bytes(bytes(damage))
        os.utime(path, ns=(case, case))
        annotated = read(huggingface, tmp_path)
        if case % 2 and annotated is not None and huggingface.recognise(tmp_path):
            assert annotated.faults
            assert not boxes_of(annotated) - whole
            refused += 1
    assert refused > 50


@settings(max_examples=100)
@given(data=damaged(json.dumps(ROW) + "\n" + json.dumps(ROW)), table=damaged('file_name,objects\na.jpg,"{""bbox"": [[1, 2, 3, 4]]}"\n'))
def test_damaged_files_give_faults_and_open_nothing_outside(data: bytes, table: bytes) -> None:
    assert_damage_is_safe(huggingface, "metadata_dot_jsonl", data)
    assert_damage_is_safe(huggingface, "metadata_dot_csv", table)


@settings(max_examples=50)
@given(text=damaged(README))
def test_a_damaged_readme_gives_faults_and_opens_nothing_outside(text: bytes) -> None:
    assert_damage_is_safe(huggingface, "README_dot_md", text, metadata_dot_jsonl=json.dumps(ROW))
