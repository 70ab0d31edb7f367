"""Images inside Parquet files: names, reading, the cache, a missing pyarrow, and damaged files."""

from __future__ import annotations

import builtins
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgloc.data.annotated.listing import list_folder
from imgloc.data.images import parquet_images
from imgloc.data.images.headers import read_file
from imgloc.errors import UnreadableImage
from tests.refusals import assert_refused


def write(path: Path, values: list[bytes | None], *, group: int = 3, plain: bool = False) -> None:
    images: Any = values if plain else [None if value is None else {"bytes": value, "path": "x.jpg"} for value in values]
    pq.write_table(pa.table({"image": images, "other": list(range(len(values)))}), path, row_group_size=group)


def test_a_name_leads_to_its_file() -> None:
    assert parquet_images.member("data/a.parquet", "image", 7) == "data/a.parquet/image/00000007"
    names = [parquet_images.member("a.parquet", "image", row) for row in range(2000)]
    assert names == sorted(names)
    assert parquet_images.container_of("data/a.parquet/image/7") == "data/a.parquet"
    for name in ("a.jpg", "a.parquet", "a.parquet/7", "a.parquet/image/seven", "a.parquet/image/7/8"):
        assert parquet_images.container_of(name) == name


@pytest.mark.parametrize("plain", [False, True])
def test_rows_of_all_groups_are_read(plain: bool, tmp_path: Path) -> None:
    values = [bytes([i]) * (i + 1) for i in range(10)]
    write(tmp_path / "a.parquet", values, plain=plain)
    for i, value in enumerate(values):
        assert read_file(tmp_path, f"a.parquet/image/{i}") == value
        assert read_file(tmp_path, f"a.parquet/image/{i}", 2) == value[:2]
    listing = list_folder(tmp_path)
    assert listing.status("a.parquet/image/3") == listing.files["a.parquet"]
    assert listing.status("b.parquet/image/3") is None


def test_a_folder_may_be_named_like_a_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet/image").mkdir(parents=True)
    (tmp_path / "a.parquet/image/7").write_bytes(b"seven")
    assert read_file(tmp_path, "a.parquet/image/7") == b"seven"


def test_the_last_groups_are_kept_up_to_a_number_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    read = pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, group: int, **options: Any) -> Any:
        groups.append(group)
        return read(file, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    monkeypatch.setattr(parquet_images, "MAX_CACHED_BYTES", 8000)  # two groups of three images
    write(tmp_path / "a.parquet", [bytes([i]) * 1000 for i in range(12)])
    for i in (0, 1, 4, 0, 8, 0, 4, 8):
        assert read_file(tmp_path, f"a.parquet/image/{i}")[0] == i
    assert groups == [0, 1, 2, 1, 2], "the group that was used least recently is dropped"
    monkeypatch.setattr(parquet_images, "MAX_CACHED_BYTES", 1)
    for i in (5, 3, 9, 5):
        assert read_file(tmp_path, f"a.parquet/image/{i}")[0] == i
    assert groups[5:] == [3, 1], "one group is always kept"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, [b"old"])
    assert read_file(tmp_path, "a.parquet/image/0") == b"old"
    write(path, [b"new"])
    os.utime(path, ns=(1, 1))
    assert read_file(tmp_path, "a.parquet/image/0") == b"new"


def test_threads_read_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [bytes([i]) * 100 for i in range(200)], group=10)
    order = np.random.default_rng(0).integers(0, 200, 1000).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: read_file(tmp_path, f"a.parquet/image/{i}")[0], order))
    assert read == order


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.parquet/image/3", "cannot be read"), ("a.parquet/images/0", "cannot be read"), ("a.parquet/image/1", "no image"),
     ("a.parquet/other/0", "no image"), ("a.parquet/image/2", "at most 5")],
)  # fmt: skip
def test_what_cannot_be_read_is_named(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgloc.data.images.headers.MAX_BYTES", 5)
    write(tmp_path / "a.parquet", [b"abc", None, b"abcdef"])
    with pytest.raises(UnreadableImage, match=message) as caught:
        read_file(tmp_path, name)
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


def test_damaged_files_are_unreadable_images(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, [bytes([i]) * 50 for i in range(6)])
    content = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for case in range(300):
        damaged = bytearray(content[: int(random.integers(len(content)))] if case % 3 == 0 else content)
        for place in random.integers(0, max(1, len(damaged)), 3):
            damaged[place : place + 1] = bytes([int(random.integers(256))])
        path.write_bytes(bytes(damaged))
        os.utime(path, ns=(case, case))
        try:
            read_file(tmp_path, f"a.parquet/image/{case % 6}")
        except UnreadableImage:
            refused += 1
    assert refused > 100


def test_a_missing_pyarrow_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", [b"abc"])
    load = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert_refused(lambda: read_file(tmp_path, "a.parquet/image/0"), "pip install 'imgloc[parquet]'")
