from __future__ import annotations

from pathlib import Path

import pytest

from imgloc.data.check import Findings
from imgloc.data.faults import KINDS
from imgloc.data.sources import folder as folders
from tests import planted_faults

FORMATS = ("voc", "csv", "coco", "yolo")


def checked(folder: Path, form: str = "", *, thorough: bool = True, convention: str = "") -> Findings:
    return folders.check(thorough=thorough, folder=str(folder), format=form, convention=convention)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_invented_on_a_clean_copy(form: str, tmp_path: Path) -> None:
    planted_faults.write(planted_faults.clean(5), tmp_path, form)
    found = checked(tmp_path, form)
    assert found.faults == ()
    assert found.images == found.looked_at == planted_faults.COUNT


@pytest.mark.parametrize(("form", "seed"), [(form, seed) for form in FORMATS for seed in (0, 1)])
def test_all_that_is_planted_is_named_at_its_file_and_nothing_else(form: str, seed: int, tmp_path: Path) -> None:
    wanted = planted_faults.planted(tmp_path, form, seed)
    assert len(wanted) >= 15
    found = list(checked(tmp_path, form).faults)
    for kind, file in wanted:
        stem = Path(file).stem
        hits = [fault for fault in found if fault.kind == kind and stem in f"{fault.where} {fault.what}"]
        assert hits, (kind, file, [fault for fault in found if stem in f"{fault.where} {fault.what}"])
        found.remove(hits[0])
    assert not found
