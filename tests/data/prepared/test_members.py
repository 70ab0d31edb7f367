"""Files of archives and folders: reading, damage, and names that lead outside."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from imgloc.data.prepared import members
from tests.refusals import assert_refused
from tests.tiny_imagenet_shaped import write_folder, write_zip

FILES = {"a.txt": b"one", "b/c.txt": "zwölf".encode(), "b/d/e.bin": bytes(range(256)) * 40}


@pytest.fixture(params=["zip", "folder"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> members.Members:
    if request.param == "zip":
        return members.open_members(write_zip(tmp_path / "a.zip", FILES, root=""))
    return members.open_members(write_folder(tmp_path / "a", FILES))


def test_an_archive_and_a_folder_are_read_alike(files: members.Members) -> None:
    assert dict(files.sizes) == {name: len(content) for name, content in FILES.items()}
    assert all(files.read(name) == content for name, content in FILES.items())
    below = files.below("b/")
    assert set(below.sizes) == {"c.txt", "d/e.bin"}
    assert below.text("c.txt") == "zwölf"
    assert below.below("d/").read("e.bin") == FILES["b/d/e.bin"]
    assert_refused(lambda: below.read("a.txt"), "no file b/a.txt in")
    assert_refused(lambda: files.text("b/d/e.bin"), "is not UTF-8 text")


def test_checksums_change_with_any_content_or_name(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES)
    assert members.open_members(archive).sha256([]) == hashlib.sha256(archive.read_bytes()).hexdigest()
    whole = members.open_members(write_folder(tmp_path / "a", FILES)).sha256(FILES)
    assert whole == members.open_members(write_folder(tmp_path / "b", FILES)).sha256(reversed(FILES))
    (tmp_path / "b/a.txt").write_bytes(b"two")
    assert whole != members.open_members(tmp_path / "b").sha256(FILES)
    assert whole != members.open_members(tmp_path / "a").sha256(["a.txt"])


def test_names_that_lead_outside_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    names = ["../secret", "/etc/passwd", "b/../../secret", "..\\secret", "C:\\secret", "c:/secret", "good/x..y"]
    assert set(members.open_members(write_zip(tmp_path / "a.zip", dict.fromkeys(names, b"x"), root="")).sizes) == {"good/x..y"}
    folder = write_folder(tmp_path / "a", {"inside": b"1"})
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "near").symlink_to(folder / "inside")
    (folder / "gone").symlink_to(folder / "nothing")
    (folder / "up").symlink_to(tmp_path)
    assert set(members.open_members(folder).sizes) == {"inside", "near"}


def test_damage_raises_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES)
    content = archive.read_bytes()
    (tmp_path / "half.zip").write_bytes(content[: len(content) // 2])
    assert_refused(lambda: members.open_members(tmp_path / "half.zip"), "is not a readable zip archive")
    at = content.index(FILES["b/d/e.bin"])
    (tmp_path / "flipped.zip").write_bytes(content[:at] + b"\xff" + content[at + 1 :])
    flipped = members.open_members(tmp_path / "flipped.zip")
    assert_refused(lambda: flipped.read("tiny-imagenet-200/b/d/e.bin"), "cannot read tiny-imagenet-200/b/d/e.bin", "CRC")
    assert_refused(lambda: members.open_members(tmp_path / "nothing"), "no such file or folder")
    monkeypatch.setattr(members, "MAX_BYTES", 1000)
    assert_refused(lambda: members.open_members(archive).read("tiny-imagenet-200/b/d/e.bin"), "10,240 bytes; the limit is 1,000")
    with zipfile.ZipFile(archive) as whole:
        assert whole.testzip() is None
