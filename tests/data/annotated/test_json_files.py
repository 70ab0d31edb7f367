from __future__ import annotations

from pathlib import Path

import pytest

from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.json_files import as_list, as_mapping, first_files, load_json, parse_json
from imgloc.data.annotated.listing import list_folder
from tests.picture_folders import put


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "it is not JSON"), ("[" * 100_000, "nested too deeply"), ('{"a":' * 100_000, "nested too deeply"), ("nul", "it is not JSON"),
     ("9" * 5000, "4300"), ('{"a": 1', "it is not JSON")],
)  # fmt: skip
def test_a_text_that_is_not_json_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 300


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    put(tmp_path, good='{"a": [1]}', bad="{", nul='{"a": "\0"}')
    listing, faults = list_folder(tmp_path), list[Fault]()
    assert load_json("good", listing, faults) == {"a": [1]}
    assert not faults
    assert load_json("bad", listing, faults) is None
    assert load_json("nul", listing, faults, "bad_annotation") is None
    assert [(fault.kind, fault.where) for fault in faults] == [("bad_file", "bad"), ("bad_annotation", "nul")]


def test_values_of_other_types_are_empty() -> None:
    for value in (None, 1, "x", [1]):
        assert as_mapping(value) == {}
    for value in (None, 1, "x", {"a": 1}):
        assert as_list(value) == []
    assert (as_mapping({"a": 1}), as_list([1])) == ({"a": 1}, [1])


def test_the_first_files_are_the_outermost(tmp_path: Path) -> None:
    put(tmp_path, **{f"deep__{i}_dot_json": "{}" for i in range(60)}, z_dot_json="{}", a_dot_txt="")
    files = first_files(list_folder(tmp_path))
    assert files[:2] == ["z.json", "deep/0.json"]
    assert len(files) == 50
