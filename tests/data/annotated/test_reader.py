"""Formats are recognised, and files read once; each format keeps the contract of the room."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import numpy as np
import pytest

from imgloc.config import registry
from imgloc.data.annotated import assemble, reader
from imgloc.data.annotated.annotations import Annotated, Annotation
from imgloc.data.checks.faults import KINDS
from tests.picture_folders import put, touch
from tests.refusals import assert_refused

XML = "<annotation><filename>a.jpg</filename></annotation>"
CSV = "filename,xmin,ymin,xmax,ymax,class\na.jpg,1,2,3,4,cat\n"
JSON = '{"images": [], "annotations": [], "categories": []}'
LAYOUTS: dict[str, dict[str, str]] = {
    "voc": {"a_dot_xml": XML},
    "csv": {"labels_dot_csv": CSV},
    "coco": {"instances_dot_json": JSON},
    "yolo": {"a_dot_txt": "0 .5 .5 1 1\n"},
    "wsol": {"image_ids_dot_txt": "a.jpg\n", "class_labels_dot_txt": "a.jpg,0\n"},
    "class_folders": {"cat__b_dot_jpg": "", "dog__b_dot_jpg": ""},
}


@pytest.mark.parametrize("name", registry.names("data.formats"))
def test_a_format_recognises_its_own_and_refuses_unknown_conventions(name: str, tmp_path: Path) -> None:
    module = registry.find("data.formats", name)
    touch(tmp_path, "a.jpg")
    assert not module.recognise(tmp_path)
    assert not module.read(tmp_path).images
    put(tmp_path, **LAYOUTS[name])
    assert reader.recognised(tmp_path) == [name]
    found = reader.read_folder(tmp_path)
    assert found.format == name
    assert {fault.kind for fault in found.faults} <= set(KINDS)
    assert inspect.signature(module.read).parameters["convention"].default == ""
    assert_refused(lambda: module.read(tmp_path, convention="pixels"), "unknown convention of boxes", "'pixels'", "edges")
    if hasattr(module, "write"):
        written = inspect.signature(module.write).parameters
        assert list(written)[:2] == ["annotated", "folder"]
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in list(written.values())[2:])


def test_every_fault_that_a_format_names_has_a_kind() -> None:
    folder = Path(inspect.getfile(reader)).parent
    texts = [path.read_text() for path in [*folder.parent.glob("formats/*.py"), folder / "listing.py", folder / "assemble.py"]]
    named = {part.split('"')[1] for text in texts for part in text.split("Fault(")[1:] if part.startswith('"')}
    assert named >= {"bad_annotation", "outside_folder", "unknown_class", "duplicate_image"}
    assert named <= set(KINDS)


def test_no_format_or_several_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    assert_refused(lambda: reader.read_folder(tmp_path), "no annotation format is recognised", "class_folders, coco, csv, voc, wsol, yolo")
    put(tmp_path, **LAYOUTS["voc"], **LAYOUTS["csv"], **LAYOUTS["class_folders"])
    assert_refused(lambda: reader.read_folder(tmp_path), "as csv and as voc", "data.options.format")
    assert reader.read_folder(tmp_path, format="voc").format == "voc"
    assert_refused(lambda: reader.read_folder(tmp_path, format="vco"), "unknown format 'vco'; did you mean 'voc'?")
    assert_refused(lambda: reader.read_folder(tmp_path / "nowhere"), "no such folder")


def test_files_are_read_again_only_when_one_has_changed(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, labels_dot_csv=CSV)
    first = reader.read_folder(tmp_path)
    assert reader.read_folder(tmp_path) is first
    put(tmp_path, labels_dot_csv=CSV.replace("4,cat", "5,cat"))
    os.utime(tmp_path / "labels.csv", ns=(1, 1))
    assert reader.read_folder(tmp_path).images[0].boxes_nx4[0].tolist() == [1, 2, 3, 5]


def test_boxes_change_between_pixels_and_shares_where_the_size_is_said() -> None:
    box = np.array([[0.5, 0.25, 1.0, 0.75]])
    relative = Annotation("a.jpg", box, ("cat",), relative=True, width=200, height=100)
    assert assemble.in_pixels(relative).tolist() == [[100, 25, 200, 75]]
    assert assemble.in_unit(relative) is box
    pixels = Annotation("a.jpg", box * 100, ("cat",), width=200, height=100)
    assert assemble.in_unit(pixels).tolist() == [[0.25, 0.25, 0.5, 0.75]]
    unsaid = Annotation("a.jpg", box, ("cat",), relative=True, where="a.txt")
    assert_refused(lambda: assemble.in_pixels(unsaid), "the size of a.jpg is not said in a.txt")


@pytest.mark.parametrize("name", ["voc", "yolo"])
@pytest.mark.parametrize("file", ["../a.jpg", "/tmp/a.jpg", "a/../../b.jpg"])
def test_nothing_is_written_outside_the_folder(name: str, file: str, tmp_path: Path) -> None:
    bad = Annotated("", ("cat",), (Annotation(file, np.zeros((0, 4)), ()),))
    assert_refused(lambda: registry.find("data.formats", name).write(bad, tmp_path / "data"), "is no file of the data's folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [True, None, [1], "", "x", "nan", float("inf"), 10**400, -2e9])
def test_what_is_no_number_is_refused_in_short(value: object) -> None:
    with pytest.raises(ValueError, match="is no ") as caught:
        assemble.number(value)
    assert len(str(caught.value)) < 120
    assert assemble.side(value) == 0


@pytest.mark.parametrize("value", [None, 3, "", "  ", "a\nb", "a\u2028b", "\ud800", "x\0"])
def test_what_is_no_name_of_a_class_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no name of a class"):
        assemble.class_name(value)
    assert assemble.class_name(" Katze, groß ") == "Katze, groß"
