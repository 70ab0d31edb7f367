from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgloc import boxes as box_arithmetic
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation
from imgloc.data.annotated.listing import Listing
from imgloc.data.checks.faults import KINDS
from imgloc.data.checks.folder import Findings, check_folder
from imgloc.data.sources import folder as folders
from imgloc.types import FloatArray
from tests import planted_faults

FORMATS = tuple(planted_faults.ALL.split())


def checked(folder: Path, form: str = "", *, thorough: bool = True, convention: str = "") -> Findings:
    return folders.check_data(thorough=thorough, folder=str(folder), format=form, convention=convention)


def kinds(findings: Findings) -> Counter[str]:
    return Counter(fault.kind for fault in findings.faults)


@pytest.mark.parametrize("form", FORMATS)
def test_a_clean_folder_has_no_faults(form: str, tmp_path: Path) -> None:
    planted_faults.write(planted_faults.clean(5, form), tmp_path, form)
    findings = checked(tmp_path, form)
    assert findings.faults == ()
    assert findings.images == findings.looked_at == planted_faults.COUNT


@pytest.mark.parametrize(("form", "seed"), [(form, seed) for form in FORMATS for seed in (0, 1)])
def test_exactly_the_planted_faults_are_reported(form: str, seed: int, tmp_path: Path) -> None:
    expected = planted_faults.planted(tmp_path, form, seed)
    assert len(expected) >= 15
    left = list(checked(tmp_path, form).faults)
    for kind, file in expected:
        of_file = [fault for fault in left if Path(file).stem in f"{fault.where} {fault.what}"]
        hits = [fault for fault in of_file if fault.kind == kind]
        assert hits, (kind, file, of_file)
        left.remove(hits[0])
    assert not left


def test_a_quick_check_reports_all_faults_except_those_of_pixels(tmp_path: Path) -> None:
    expected = Counter(kind for kind, _ in planted_faults.planted(tmp_path, "voc", 3))
    faults = kinds(checked(tmp_path, "voc", thorough=False))
    # The header of a truncated file is valid.
    assert expected - faults == Counter(unreadable_image=1, duplicate_image=1, repeated_image=1)
    assert not faults - expected


def test_a_quick_check_compares_files_of_equal_size_in_two_splits(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for name in ("train/cat/a.png", "train/dog/b.png", "val/cat/c.png", "val/dog/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels + (name[-5] in "bd") * (1 + (name[-5] == "d"))).save(tmp_path / name, compress_level=0)  # of equal size
    (tmp_path / "val/cat/c.png").write_bytes((tmp_path / "train/cat/a.png").read_bytes())
    findings = checked(tmp_path, "class_folders", thorough=False)
    assert [(fault.kind, fault.where) for fault in findings.faults] == [("duplicate_image", "val/cat/c.png")]
    assert folders.check_data(thorough=False, folder=str(tmp_path)).serious


def rewritten(folder: Path, form: str, numbers: str) -> None:
    """Writes a clean folder in which the numbers of all boxes are corners, xywh or middle, other than the format defines."""
    xywh, center = box_arithmetic.from_coco_xywh, box_arithmetic.from_yolo_cxcywh
    meanings = dict.fromkeys(("coco", "via", "wider_face", "mot", "huggingface"), xywh) | dict.fromkeys(("yolo", "createml"), center)
    to_boxes = meanings.get(form, lambda boxes: boxes)
    to = {"corners": lambda b: b, "xywh": box_arithmetic.to_coco_xywh, "middle": box_arithmetic.to_yolo_cxcywh}[numbers]

    def misread(entry: Annotation) -> FloatArray:
        shift = 0.0 if form in ("yolo", "createml") and numbers == "xywh" else 22.0  # so that many boxes are invalid as read
        far = np.minimum(entry.boxes_nx4[:, 2:] + shift, [entry.width, entry.height])
        return np.asarray(to_boxes(to(np.concatenate([entry.boxes_nx4[:, :2] + shift, far], axis=1))))

    entries = [dataclasses.replace(entry, boxes_nx4=misread(entry)) for entry in planted_faults.clean(7, form)]
    if form == "createml":  # each file is judged alone: all images are in one
        entries = [dataclasses.replace(entry, split="") for entry in entries]
    planted_faults.write(entries, folder, form)


@pytest.mark.parametrize(
    ("form", "numbers", "kind"),
    [("voc", "xywh", "xywh_box"), ("csv", "xywh", "xywh_box"), ("coco", "corners", "corner_box"), ("yolo", "corners", "corner_box"),
     ("yolo", "xywh", "xywh_box"), ("cvat", "xywh", "xywh_box"), ("createml", "corners", "corner_box"), ("createml", "xywh", "xywh_box"),
     ("via", "corners", "corner_box"), ("wider_face", "corners", "corner_box"), ("mot", "corners", "corner_box"),
     ("huggingface", "corners", "corner_box")],
)  # fmt: skip
def test_numbers_with_another_meaning_are_reported_for_every_image(form: str, numbers: str, kind: str, tmp_path: Path) -> None:
    rewritten(tmp_path, form, numbers)
    assert kinds(checked(tmp_path, form)) == Counter({kind: planted_faults.COUNT})


def test_only_the_wrong_one_of_several_tables_is_reported(tmp_path: Path) -> None:
    planted_faults.write(planted_faults.clean(2), tmp_path, "csv")
    columns = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
    tables: dict[str, list[str]] = {split: [",".join(columns)] for split in ("train", "test", "validation")}
    for row in csv.DictReader((tmp_path / "labels.csv").read_text().splitlines()):
        x0, y0, x1, y1 = (float(row[corner]) + 20 for corner in columns[4:])
        far = (x1 - x0, y1 - y0) if row["split"] == "test" else (x1, y1)
        size = (int(row["width"]) + 40, int(row["height"]) + 40)
        tables[row["split"]].append(",".join(map(str, (row["filename"], *size, row["class"], x0, y0, *far))))
    (tmp_path / "labels.csv").unlink()
    for split, rows in tables.items():
        (tmp_path / f"{split}_labels.csv").write_text("\n".join(rows))
    faults = [fault for fault in checked(tmp_path, "csv", thorough=False).faults if fault.kind != "size_mismatch"]
    assert {(fault.kind, fault.where.partition(":")[0]) for fault in faults} == {("xywh_box", "test_labels.csv")}
    assert len(faults) == len({row.split(",")[0] for row in tables["test"][1:]})


def test_swapped_corners_are_only_reported_as_inverted(tmp_path: Path) -> None:
    entries = [dataclasses.replace(entry, boxes_nx4=entry.boxes_nx4[:, [2, 3, 0, 1]]) for entry in planted_faults.clean(1)]
    planted_faults.write(entries, tmp_path, "csv")
    assert set(kinds(checked(tmp_path, "csv"))) == {"inverted_box"}


def test_normalized_boxes_in_voc_xml(tmp_path: Path) -> None:
    planted_faults.write(planted_faults.clean(1), tmp_path, "voc")
    path = tmp_path / "Annotations" / "images" / "p004.xml"
    text = path.read_text()
    for tag, share in (("xmin", 0.125), ("ymin", 0.25), ("xmax", 0.75), ("ymax", 1)):
        before, _, after = text.partition(f"<{tag}>")
        text = f"{before}<{tag}>{share}{after[after.index('<') :]}"
    path.write_text(text)
    for convention in ("", "inclusive_from_1", "inclusive_from_0"):
        (fault,) = checked(tmp_path, "voc", convention=convention).faults
        assert (fault.kind, fault.where) == ("normalised_box", "Annotations/images/p004.xml")


def test_pixels_counted_from_0_instead_of_1_and_the_reverse(tmp_path: Path) -> None:
    at_zero = [
        dataclasses.replace(entry, boxes_nx4=np.concatenate([[[0.0, 3, 20, 30]], entry.boxes_nx4[1:]])) if place in (3, 8) else entry
        for place, entry in enumerate(planted_faults.clean(4))
    ]
    planted_faults.write(at_zero, tmp_path, "voc")
    assert checked(tmp_path, "voc").faults == ()  # as edges, which they are
    findings = checked(tmp_path, "voc", convention="inclusive_from_1")
    assert [(fault.kind, fault.where) for fault in findings.faults] == [
        ("zero_based_box", f"Annotations/images/p00{place}.xml") for place in (3, 8)
    ]
    for name in ("p003", "p008"):  # original VOC files count from 1 by default
        path = tmp_path / "Annotations" / "images" / f"{name}.xml"
        path.write_text(path.read_text().replace("Unknown", "PASCAL VOC2007"))
    assert kinds(checked(tmp_path, "voc")) == Counter(zero_based_box=2)

    first = at_zero[0]
    whole = dataclasses.replace(first, boxes_nx4=np.array([[1.0, 1, first.width, first.height]]), names=("cat",))
    planted_faults.write([whole], tmp_path / "whole", "voc")
    assert checked(tmp_path / "whole", "voc").faults == ()
    assert kinds(checked(tmp_path / "whole", "voc", convention="inclusive_from_0")) == Counter(one_based_box=1)


def test_faults_of_the_reader_are_included(tmp_path: Path) -> None:
    planted_faults.write(planted_faults.clean(1), tmp_path, "coco")
    (path,) = tmp_path.rglob("instances_train.json")
    name = path.relative_to(tmp_path).as_posix()
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 99
    content["annotations"][1]["image_id"] = 12345
    content["categories"] += [{"id": 50, "name": "CAT"}, {"id": 51, "name": "okapi"}]
    path.write_text(json.dumps(content))
    findings = checked(tmp_path, "coco")
    assert {(fault.kind, fault.where) for fault in findings.faults} >= {
        ("unknown_class", f"{name} annotations[0]"), ("bad_annotation", f"{name} annotations[1]"),
        ("class_case", "classes"), ("unused_class", "classes"),
    }  # fmt: skip


def test_a_clean_data_set_with_a_truncated_photograph(data_folder: Path, tmp_path: Path) -> None:
    """The raccoon data set has no wrong box or size; it contains four photographs twice."""
    findings = checked(data_folder / "raccoon", "voc")
    assert set(kinds(findings)) == {"duplicate_image", "repeated_image"}
    assert len(findings.faults) == 4
    for kind in ("images", "annotations"):
        (tmp_path / kind).mkdir()
        for file in (data_folder / "raccoon" / kind).iterdir():
            if file.stem in ("raccoon-1", "raccoon-2", "raccoon-3"):
                (tmp_path / kind / file.name).write_bytes(file.read_bytes()[: -2000 if file.name == "raccoon-2.jpg" else None])
    (fault,) = checked(tmp_path, "voc").faults
    assert (fault.kind, fault.where) == ("unreadable_image", "images/raccoon-2.jpg")


@st.composite
def wild(draw: st.DrawFn) -> AnnotatedFolder:
    """Draws annotations of a few images with arbitrary boxes."""
    edge = st.floats(-1e9, 1e9) | st.integers(-2, 60).map(float) | st.floats(-2, 3)
    entries = []
    for number in range(draw(st.integers(1, 5))):
        boxes = draw(st.lists(st.tuples(edge, edge, edge, edge), max_size=4))
        names = tuple(draw(st.sampled_from(["cat", "CAT", "", "dog"])) for _ in boxes)
        side = st.sampled_from([0, 1, 50, 10**9])
        width, height, relative, file = draw(side), draw(side), draw(st.booleans()), f"{number}.jpg"
        array = np.array(boxes, np.float64).reshape(-1, 4)
        where = draw(st.sampled_from([file, "t.csv:3"]))
        entries.append(Annotation(file, array, names, relative=relative, width=width, height=height, where=where))
    meaning = draw(st.sampled_from(["corners", "xywh", "center"]))
    return AnnotatedFolder(draw(st.sampled_from(FORMATS)), ("cat", "dog"), tuple(entries), meaning=meaning)


@given(wild(), st.sampled_from(["", "inclusive_from_0", "inclusive_from_1"]))
def test_every_box_without_area_is_reported(annotated: AnnotatedFolder, convention: str) -> None:
    findings = check_folder(annotated, Listing(Path("nowhere"), {}), {}, convention=convention)
    assert {fault.kind for fault in findings.faults} <= set(KINDS)
    units = {"normalised_box", "pixel_box", "xywh_box", "corner_box", "middle_box", "zero_based_box", "one_based_box"}
    for entry in annotated.images:
        if len(entry.boxes_nx4) and (entry.boxes_nx4[:, 2:] <= entry.boxes_nx4[:, :2]).any():
            of_entry = [fault for fault in findings.faults if f"'{entry.file}'" in fault.what]
            assert {fault.kind for fault in of_entry} & {"inverted_box", "empty_box", *units}
