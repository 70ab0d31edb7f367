"""Class names in the features of Hugging Face's data sets: the forms of several versions of `datasets`, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.features import readme_names, schema_names
from imgloc.data.annotated.listing import list_folder
from tests.damaged_folders import changes
from tests.picture_folders import put

LABEL = {"names": ["cat", "dog"], "_type": "ClassLabel"}
SEQUENCE = {"feature": {"bbox": {"feature": {"dtype": "float32"}, "_type": "Sequence"}, "category": LABEL}, "_type": "Sequence"}
FEATURES: dict[str, Any] = {
    "sequence of a dict": {"image": {"_type": "Image"}, "objects": SEQUENCE},
    "list of dicts": {"objects": [{"bbox": [{"dtype": "float32"}], "category": LABEL}]},
    "datasets 4": {"objects": {"bbox": {"feature": {}, "_type": "List"}, "category": {"feature": LABEL, "_type": "List"}}},
    "own column": {"bbox": {}, "label": {"feature": LABEL, "length": -1, "_type": "Sequence"}},
    "a class of the image too": {"label": {"names": ["indoor"], "_type": "ClassLabel"}, "objects": SEQUENCE},
}


def metadata(features: Any) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


@pytest.mark.parametrize("name", FEATURES)
def test_names_in_the_schema_of_a_parquet_file(name: str) -> None:
    assert schema_names(metadata(FEATURES[name])) == {0: "cat", 1: "dog"}


def test_a_schema_without_names_has_none() -> None:
    for value in ({}, {b"huggingface": b"{"}, {b"huggingface": b"[1]"}, metadata({"objects": {"category": {"dtype": "int64"}}})):
        assert schema_names(value) == {}


def readme(objects: str, label: str, *, config: str = "") -> str:
    """The beginning of dataset_info, with the features of the objects below a key, and those of the class below another."""
    first = f"- config_name: {config}\n  features:" if config else "  features:"
    names = f"      {label}:\n        class_label:\n          names:\n            '0': cat\n            '1': no\n"
    return f"dataset_info:\n{first}\n  - name: image\n    dtype: image\n  - name: objects\n    {objects}:\n    - name: category\n{names}"


README = {
    "sequence": readme("sequence", "dtype"), "list": readme("list", "dtype", config="small"), "struct": readme("struct", "sequence"),
}  # fmt: skip


@pytest.mark.parametrize("name", README)
def test_names_in_readme(name: str, tmp_path: Path) -> None:
    put(tmp_path, README_dot_md=f"---\nlicense: mit\n{README[name]}---\n# Title\n")
    faults: list[Fault] = []
    assert readme_names(list_folder(tmp_path), faults) == {0: "cat", 1: "no"}
    assert not faults


@pytest.mark.parametrize("text", ["", "# Title\n", "---\nlicense: mit\n---\n", "A text about dataset_info\n"])
def test_a_readme_without_names_has_none_and_no_fault(text: str, tmp_path: Path) -> None:
    put(tmp_path, README_dot_md=text)
    faults: list[Fault] = []
    assert readme_names(list_folder(tmp_path), faults) == {}
    assert not faults


@pytest.mark.parametrize("text", [f"---\n{README['list']}", "---\ndataset_info: [\n---\n", "---\ndataset_info: &a [*a, *b]\n---\n"])
def test_a_damaged_readme_is_a_fault(text: str, tmp_path: Path) -> None:
    put(tmp_path, README_dot_md=text)
    faults: list[Fault] = []
    assert readme_names(list_folder(tmp_path), faults) == {}
    assert [(fault.kind, fault.where) for fault in faults] == [("bad_file", "README.md")]
    assert "\n" not in faults[0].what


def test_values_of_other_types_are_a_schema() -> None:
    for changed in changes({"info": {"features": FEATURES["list of dicts"]}}):
        assert isinstance(schema_names({b"huggingface": json.dumps(changed).encode()}), dict)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_schema(content: bytes) -> None:
    assert isinstance(schema_names({b"huggingface": content}), dict)
