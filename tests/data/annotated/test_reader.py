"""Detection of formats, caching, and the contract of all format modules."""

from __future__ import annotations

import inspect
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from imgloc.config import registry
from imgloc.data.annotated import assemble, reader
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation
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
    "labelme": {"a_dot_json": '{"version": "5.0", "flags": {}, "shapes": [], "imagePath": "a.jpg", "imageData": null}'},
    "createml": {"createml_dot_json": '[{"image": "a.jpg", "annotations": []}]'},
    "via": {"via_dot_json": '{"a.jpg7": {"filename": "a.jpg", "size": 7, "regions": []}}'},
    "cvat": {"cvat_dot_xml": '<annotations><version>1.1</version><image id="0" name="a.jpg" width="4" height="3"/></annotations>'},
    "wider_face": {"wider_face_train_bbx_gt_dot_txt": "a.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"},
    "mot": {"seq__gt__gt_dot_txt": "1,1,2,3,4,5,1,1,1\n", "seq__img1__000001_dot_jpg": ""},
    "huggingface": {"metadata_dot_jsonl": '{"file_name": "a.jpg", "objects": {"bbox": [], "category": []}}\n'},
    "class_folders": {"cat__b_dot_jpg": "", "dog__b_dot_jpg": ""},
}


@pytest.mark.parametrize("name", registry.names("data.formats"))
def test_a_format_recognises_its_own_files_and_refuses_unknown_conventions(name: str, tmp_path: Path) -> None:
    module = registry.find("data.formats", name)
    touch(tmp_path, "a.jpg")
    assert not module.recognise(tmp_path)
    assert not module.read(tmp_path).images
    put(tmp_path, **LAYOUTS[name])
    assert reader.detect_formats(tmp_path) == [name]
    annotated = reader.read_folder(tmp_path)
    assert annotated.format == name
    assert {fault.kind for fault in annotated.faults} <= set(KINDS)
    assert inspect.signature(module.read).parameters["convention"].default == ""
    assert_refused(lambda: module.read(tmp_path, convention="pixels"), "unknown convention of boxes", "'pixels'", "possible: ")
    if hasattr(module, "write"):
        parameters = inspect.signature(module.write).parameters
        assert list(parameters)[:2] == ["annotated", "folder"]
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in list(parameters.values())[2:])


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(sorted(set(LAYOUTS) - {"class_folders"}), 2)))
def test_a_folder_of_two_formats_is_read_as_neither_of_them(first: str, second: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, **{f"one__{name}": text for name, text in LAYOUTS[first].items()})
    put(tmp_path, **{f"two__{name}": text for name, text in LAYOUTS[second].items()})
    touch(tmp_path, "one/a.jpg", "two/a.jpg")
    assert_refused(lambda: reader.read_folder(tmp_path), f"as {first} and as {second}", "data.options.format")


def test_an_attribute_for_the_class_is_refused_by_formats_without_attributes(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, **LAYOUTS["coco"])
    assert_refused(lambda: reader.read_folder(tmp_path, class_attribute="kind"), "data.options.class_attribute is 'kind'", "format coco")


def test_every_fault_of_the_formats_has_a_known_kind() -> None:
    folder = Path(inspect.getfile(reader)).parent
    texts = [path.read_text() for path in [*folder.parent.glob("formats/*.py"), folder / "listing.py", folder / "assemble.py"]]
    kinds = {part.split('"')[1] for text in texts for part in text.split("Fault(")[1:] if part.startswith('"')}
    assert kinds >= {"bad_annotation", "outside_folder", "unknown_class", "duplicate_image"}
    assert kinds <= set(KINDS)


def test_no_format_and_several_formats_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    assert_refused(lambda: reader.read_folder(tmp_path), "no annotation format is recognized", ", ".join(registry.names("data.formats")))
    put(tmp_path, **LAYOUTS["voc"], **LAYOUTS["csv"], **LAYOUTS["class_folders"])
    assert_refused(lambda: reader.read_folder(tmp_path), "as csv and as voc", "data.options.format")
    assert reader.read_folder(tmp_path, format="voc").format == "voc"
    assert_refused(lambda: reader.read_folder(tmp_path, format="vco"), "unknown format 'vco'; did you mean 'voc'?")
    assert_refused(lambda: reader.read_folder(tmp_path / "nowhere"), "no such folder")


def test_files_are_read_again_only_after_a_change(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    put(tmp_path, labels_dot_csv=CSV)
    first = reader.read_folder(tmp_path)
    assert reader.read_folder(tmp_path) is first
    put(tmp_path, labels_dot_csv=CSV.replace("4,cat", "5,cat"))
    os.utime(tmp_path / "labels.csv", ns=(1, 1))
    assert reader.read_folder(tmp_path).images[0].boxes_nx4[0].tolist() == [1, 2, 3, 5]


def test_boxes_are_converted_between_pixels_and_shares_if_the_size_is_known() -> None:
    box = np.array([[0.5, 0.25, 1.0, 0.75]])
    relative = Annotation("a.jpg", box, ("cat",), relative=True, width=200, height=100)
    assert assemble.boxes_in_pixels(relative).tolist() == [[100, 25, 200, 75]]
    assert assemble.normalized_boxes(relative) is box
    pixels = Annotation("a.jpg", box * 100, ("cat",), width=200, height=100)
    assert assemble.normalized_boxes(pixels).tolist() == [[0.25, 0.25, 0.5, 0.75]]
    no_size = Annotation("a.jpg", box, ("cat",), relative=True, where="a.txt")
    assert_refused(lambda: assemble.boxes_in_pixels(no_size), "a.txt does not give the size of a.jpg")


@pytest.mark.parametrize("name", ["voc", "yolo"])
@pytest.mark.parametrize("file", ["../a.jpg", "/tmp/a.jpg", "a/../../b.jpg"])
def test_nothing_is_written_outside_the_folder(name: str, file: str, tmp_path: Path) -> None:
    bad = AnnotatedFolder("", ("cat",), (Annotation(file, np.zeros((0, 4)), ()),))
    assert_refused(lambda: registry.find("data.formats", name).write(bad, tmp_path / "data"), "is not a path inside the data's folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [True, None, [1], "", "x", "nan", float("inf"), 10**400, -2e9])
def test_invalid_numbers_are_refused_with_a_short_message(value: object) -> None:
    with pytest.raises(ValueError, match="is not a ") as caught:
        assemble.parse_number(value)
    assert len(str(caught.value)) < 120
    assert assemble.parse_side(value) == 0


@pytest.mark.parametrize("value", [None, 3, "", "  ", "a\nb", "a\u2028b", "\ud800", "x\0"])
def test_invalid_class_names_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a class name"):
        assemble.parse_class_name(value)
    assert assemble.parse_class_name(" Katze, groß ") == "Katze, groß"
