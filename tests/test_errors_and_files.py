"""One-line errors, atomic writing of files, and fingerprints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc import files
from imgloc.errors import UserError, is_printable, one_line, printable, reason, unknown

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_unknown_suggests_the_closest_name_first() -> None:
    error = unknown("model", "lstn", ["cnn", "lstm", "elman"])
    assert isinstance(error, UserError)
    assert str(error) == "unknown model 'lstn'; did you mean 'lstm'? possible: cnn, elman, lstm"
    assert str(unknown("model", "qqqqqq", ["cnn", "lstm"])) == "unknown model 'qqqqqq'; possible: cnn, lstm"
    assert str(unknown("model", "x", [])) == "unknown model 'x'; possible: none"


def test_errors_of_other_libraries_become_one_line() -> None:
    error = ValueError("no  such\n\tplace\nat all")
    assert one_line(error) == "no such place at all"
    assert reason(error) == "ValueError: no such place at all"
    assert reason(error, lines=1) == "ValueError: no such"
    assert reason(KeyError("no key 'a'\nhere")) == "KeyError: no key 'a' here"
    assert reason(KeyError()) == "KeyError: "


def test_files_are_written_with_their_parent_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    files.write_text(path, "one\nä")
    files.write_text(path, "two ä")
    assert path.read_bytes() == "two ä".encode()
    assert [p.name for p in path.parent.iterdir()] == ["c.txt"]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.json"
    files.write_json(path, {"a": 1})

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        files.write_json(path, {"a": 2})
    assert files.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


def test_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="JSON"):
        files.fingerprint(float("inf"))


@given(json_values)
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    files.write_json(path, value)
    assert files.read_json(path) == json.loads(path.read_text()) == value


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert files.fingerprint(value) == files.fingerprint(dict(reversed(value.items())))


def test_different_values_have_different_fingerprints() -> None:
    values = [{}, {"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": True}, {"a": None}, {"b": 1}, {"a": [1]}, [1, 2], [2, 1], "12", 12]
    fingerprints = {files.fingerprint(value) for value in values}
    assert len(fingerprints) == len(values)
    assert all(len(f) == 16 and int(f, 16) >= 0 for f in fingerprints)


def test_names_of_other_tools_and_long_lists() -> None:
    keys = [f"optim.{name}" for name in ("lr", "b1", "name")] + [f"data.option_{i}" for i in range(40)]
    assert "did you mean 'optim.lr'?" in str(unknown("config key", "optim.learning_rate", keys))
    assert "did you mean 'optim.lr'?" in str(unknown("config key", "optm.lr", keys))
    assert "did you mean 'optim.lr'?" in str(unknown("config key", "lr", keys))
    assert len(str(unknown("config key", "optm.lr", keys))) < 200
    assert "(43 in all)" in str(unknown("config key", "optm.lr", keys))
    recipes = [f"{kind}_{data}" for kind in ("digits", "mnist", "voc") for data in ("cnn", "lstm", "ram", "hog", "forest", "svm", "boxes")]
    _, _, names = str(unknown("recipe", "digit_lstm", recipes)).partition("possible: ")
    first, *others, count = names.split(", ")
    assert (first, count) == ("digits_lstm", "... (21 in all)")
    assert others == sorted(others)
    assert len(others) == 4
    assert "did you mean 'locate'?" in str(unknown("command", "detect", ["train", "locate"]))


@given(text=st.text())
def test_a_terminal_gets_printable_characters_alone_and_plain_text_as_it_is(text: str) -> None:
    shown = printable(text)
    assert is_printable(shown)
    assert shown == text or not is_printable(text)
    shown.encode()


def test_a_lock_keeps_its_file_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="link"), files.locked(tmp_path / "link"):
        pass
    with files.locked(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").read_text() == "kept"
