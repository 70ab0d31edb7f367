"""What a run records of its data, and that it is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc import files
from imgloc.runs import recorded_data
from imgloc.runs.run_dir import RunDir
from tests.refusals import assert_refused

NAMES = st.sets(st.text(max_size=5), max_size=20)


@given(seen=NAMES, others=NAMES)
def test_seen_groups_are_those_of_both_sets(seen: set[str], others: set[str]) -> None:
    assert recorded_data.seen_groups(others, recorded_data.hash_groups(seen)) == sorted(seen & others)


def test_data_and_groups_are_read_as_written(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    recorded_data.write_data(run, ("cat", "dog"), 3, {"a", "b"}, recorded_data.hash_groups(["donor"]))
    data = recorded_data.read_data(run)
    assert (data.classes, data.channels) == (("cat", "dog"), 3)
    assert recorded_data.seen_groups(["b", "c", "donor"], recorded_data.read_groups(run)) == ["b", "donor"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"classes": "ab", "channels": 3, "fingerprint": ""}', "[" * 100_000, ""])
def test_a_damaged_data_json_is_refused(content: str, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.data.write_text(content)
    assert_refused(lambda: recorded_data.read_data(run), "data.json")


def test_permuted_classes_are_refused(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    recorded_data.write_data(run, ("4", "5"), 1, set(), np.zeros(0, np.uint64))
    values = files.read_json(run.data)
    files.write_json(run.data, {**values, "classes": values["classes"][::-1]})
    assert_refused(lambda: recorded_data.read_data(run), "data.json", "was changed")


@pytest.mark.parametrize("content", [b"", b"x", b"\x93NUMPY\x01\x00", np.array([[1.0]]).tobytes()])
def test_damaged_groups_are_refused(content: bytes, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.groups.write_bytes(content)
    assert_refused(lambda: recorded_data.read_groups(run), "groups.npy")


def test_a_changed_split_is_refused(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    files.write_json(run.provenance, {"data": {"train": "aa"}})
    recorded_data.check_unchanged(run, "train", "aa")
    assert_refused(lambda: recorded_data.check_unchanged(run, "train", "bb"), "has changed", "aa", "bb")
