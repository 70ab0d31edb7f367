"""Pascal VOC: its own layout and those of tools, conventions of numbers, writing and reading back, and damaged files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from imgloc.data.annotated.annotations import AnnotatedFolder
from imgloc.data.formats import csv, voc
from imgloc.errors import UserError
from tests.picture_folders import annotated_folders, assert_same, damaged, nothing_opened_outside, put, touch
from tests.refusals import assert_refused


def xml(filename: str, *boxes: tuple[object, ...], source: str = "", name: str = "cat") -> str:
    """Returns the annotation of an image of 50 x 40."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><ymin>{b}</ymin><xmin>{a}</xmin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    size = "<size><width>50</width><height>40</height><depth>3</depth></size>"
    return f"<annotation><filename>{filename}</filename><path>/home/somebody/{filename}</path>{source}{size}{objects}</annotation>"


SAMPLE = xml("a.jpg", (1, 2, 30, 40), (5, 6, 7, 8))


def kinds(annotated: AnnotatedFolder) -> list[tuple[str, str]]:
    return [(fault.kind, fault.where) for fault in annotated.faults]


def test_files_of_annotation_tools_are_read_as_edges(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.JPG", "images/spare.jpg")
    put(tmp_path, annotations__a_dot_xml=xml("a.jpg", (1, 2, 30, 40), (-3, 0, 60.5, 1e3)), annotations__b_dot_xml=xml("b.JPG"))
    assert voc.recognise(tmp_path)
    annotated = voc.read(tmp_path)
    assert not annotated.faults
    assert annotated.classes == ("cat",)
    first, second = annotated.images
    assert (first.file, first.width, first.height, first.names) == ("images/a.jpg", 50, 40, ("cat", "cat"))
    assert first.where == "annotations/a.xml"
    assert first.boxes_nx4.tolist() == [[1, 2, 30, 40], [-3, 0, 60.5, 1000]]
    assert (second.file, second.boxes_nx4.shape, second.split) == ("images/b.JPG", (0, 4), "")


def test_original_voc_files_count_from_1_and_image_sets_give_splits(tmp_path: Path) -> None:
    source = "<source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation></source>"
    for year in ("VOC2007", "VOC2012"):
        for stem in ("a", "b", "c", "d"):
            put(tmp_path, **{f"{year}__Annotations__{stem}_dot_xml": xml(f"{stem}.jpg", (1, 1, 50, 40), source=source)})
            touch(tmp_path, f"{year}/JPEGImages/{stem}.jpg")
    put(
        tmp_path, VOC2007__ImageSets__Main__train_dot_txt="a\n", VOC2007__ImageSets__Main__val_dot_txt="b\n",
        VOC2007__ImageSets__Main__trainval_dot_txt="a\nb\n", VOC2012__ImageSets__Main__test_dot_txt="a\n",
        VOC2012__ImageSets__Main__cat_train_dot_txt="d  1\n", VOC2012__ImageSets__Main__trainval_dot_txt="b  \n\n",
    )  # fmt: skip
    annotated = voc.read(tmp_path)
    assert not annotated.faults
    assert len(annotated.images) == 8
    assert all(entry.boxes_nx4.tolist() == [[0, 0, 50, 40]] for entry in annotated.images), "the whole image"
    assert {entry.file: entry.split for entry in annotated.images if entry.split} == {
        "VOC2007/JPEGImages/a.jpg": "train", "VOC2007/JPEGImages/b.jpg": "validation",
        "VOC2012/JPEGImages/a.jpg": "test", "VOC2012/JPEGImages/b.jpg": "train",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("convention", "expected"), [("edges", [1, 2, 30, 40]), ("inclusive_from_1", [0, 1, 30, 40]), ("inclusive_from_0", [1, 2, 31, 41])]
)
def test_conventions_of_numbers(tmp_path: Path, convention: str, expected: list[float]) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_xml=xml("a.jpg", (1, 2, 30, 40)))
    assert voc.read(tmp_path, convention=convention).images[0].boxes_nx4.tolist() == [expected]


def test_an_unknown_convention_is_refused(tmp_path: Path) -> None:
    assert_refused(lambda: voc.read(tmp_path, convention="inclusive"), "unknown convention of boxes 'inclusive'", "edges")


def test_folders_give_splits_and_renamed_images_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "valid/renamed.jpg")
    put(tmp_path, train__a_dot_xml=xml("a.jpg"), valid__renamed_dot_xml=xml("IMG_1.jpg"))
    assert {entry.file: entry.split for entry in voc.read(tmp_path).images} == {"train/a.jpg": "train", "valid/renamed.jpg": "validation"}


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a.jpg", "x/../../a.jpg", "C:\\a.jpg", "C:/a.jpg", "..\\a.jpg", "\\\\host\\a.jpg", "//a.jpg"]
)
def test_names_that_lead_outside_the_folder_are_faults(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a.jpg", "data/b.jpg")
    put(tmp_path, data__a_dot_xml=xml(name, (1, 2, 3, 4)))
    with nothing_opened_outside(tmp_path / "data"):
        annotated = voc.read(tmp_path / "data")
    assert kinds(annotated) == [("outside_folder", "a.xml")]
    assert not annotated.images


ENTITY = "<!DOCTYPE annotation [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ENTITY + xml("&b;.jpg"), "document type"), ("<!doctype a>" + SAMPLE, "document type"),
        ("", "not XML"), ("<annotation>", "not XML"),
        ("no xml", "not XML"), (b"\0\0", "NUL"), (SAMPLE.encode("utf-16-le"), "NUL"), (b"<annotation>\x81</annotation>", "not UTF-8"),
        ("<annotation>" + "<a>" * 200_000, "nested"), (xml("a.jpg", ("nan", 1, 2, 3)), "'nan' is not a coordinate"),
        (xml("a.jpg", (1, 1, "1e99", 3)), "'1e99' is not a coordinate"), (xml("a.jpg", ("", 1, 2, 3)), "object 1: '' is not a number"),
        (xml("a.jpg", (1, 1, 2, 3), name=""), "not a class name"),
        ("<annotation><object><name>a</name></object></annotation>", "no <bndbox>"),
    ],
)  # fmt: skip
def test_unreadable_content_is_a_fault(tmp_path: Path, content: str | bytes, message: str) -> None:
    put(tmp_path, a_dot_xml=content)
    annotated = voc.read(tmp_path)
    assert kinds(annotated) == [("bad_annotation", "a.xml")]
    assert message in annotated.faults[0].what
    assert not any(len(entry.boxes_nx4) for entry in annotated.images)


def test_an_image_annotated_twice_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, a_dot_xml=xml("a.jpg", (1, 2, 3, 4)), b_dot_xml=xml("a.jpg", (5, 6, 7, 8)))
    put(tmp_path, train__c_dot_xml=xml("a.jpg"), test__d_dot_xml=xml("a.jpg"))
    annotated = voc.read(tmp_path)
    assert [(entry.file, entry.where, entry.split) for entry in annotated.images] == [("a.jpg", "test/d.xml", "test")]
    assert kinds(annotated) == [("duplicate_image", "train/c.xml"), ("duplicate_annotation", "a.xml"), ("duplicate_annotation", "b.xml")]


@given(expected=annotated_folders(whole=True))
def test_written_annotations_are_read_back(expected: AnnotatedFolder) -> None:
    for convention in ("edges", "inclusive_from_1", "inclusive_from_0"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            touch(folder, *(entry.file for entry in expected.images))
            voc.write(expected, folder, convention=convention)
            assert voc.recognise(folder)
            annotated = voc.read(folder, convention=convention if convention == "inclusive_from_0" else "")
            assert_same(annotated, expected, within=0.5, difficult=True)


@settings(max_examples=200)
@given(content=damaged(SAMPLE, xml("a.jpg", (1, 2, 3, 4), source=ENTITY)))
def test_damaged_files_give_faults_and_open_nothing_outside(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        touch(folder, "a.jpg")
        put(folder, a_dot_xml=content)
        with nothing_opened_outside(folder):
            voc.recognise(folder)
            annotated = voc.read(folder)
        assert all(np.isfinite(entry.boxes_nx4).all() for entry in annotated.images)


def test_raccoon_annotations_are_equal_in_xml_and_csv(data_folder: Path) -> None:
    of_xml, of_csv = voc.read(data_folder / "raccoon"), csv.read(data_folder / "raccoon")
    assert len(of_xml.images) == len(of_csv.images) == 200
    assert sum(len(entry.names) for entry in of_xml.images) == 217
    for a, b in zip(of_xml.images, of_csv.images, strict=True):
        assert (a.file, a.names, a.width, a.height, a.boxes_nx4.tolist()) == (b.file, b.names, b.width, b.height, b.boxes_nx4.tolist())
    assert [entry.split for entry in of_csv.images].count("train") == 160
    assert [entry.split for entry in of_csv.images].count("test") == 40
    assert not of_xml.faults
    assert not of_csv.faults


def test_no_such_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        voc.read(tmp_path / "nowhere")
