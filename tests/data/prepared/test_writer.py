"""`imgloc data prepare`: its files, output and errors."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgloc.cli import data_prepare, main
from imgloc.data.prepared import writer
from imgloc.data.sources import tfds
from imgloc.errors import UserError
from tests import tiny_imagenet_shaped as shaped
from tests.refusals import assert_refused


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "tensorflow" else real(name, *rest))


def test_the_command_prepares_then_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = shaped.write_zip(tmp_path / "tiny.zip", shaped.entries())
    command = ["data", "prepare", "tiny_imagenet", "--folder", str(tmp_path / "out")]
    assert main.main([*command, "--from", str(archive)]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == f"{tmp_path}/out/tiny_imagenet/1.0.0: prepared, 24 train, 5 val in 2 files; checksums match"
    lines = [line for line in output.err.splitlines() if line.startswith("tiny_imagenet: ")]
    assert 5 <= len(lines) <= data_prepare.LINES
    assert lines[-1] == "tiny_imagenet: 29 of 29 examples"
    assert main.main(command) == 0
    first, hint = capsys.readouterr().out.splitlines()
    assert first.endswith("already prepared, 24 train, 5 val in 2 files; checksums match")
    assert hint.startswith("to train on it: --config.data.source=tfds --config.data.options.name=tiny_imagenet --config.data.options.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], "imgloc data: no command given; possible: prepare"),
        (["data", "prepare"], "imgloc data prepare: the following arguments are required: NAME"),
        (["data", "prepare", "tiny_imagenet", "--form", "x"], "unknown option '--form'; did you mean '--from'?"),
        (
            ["data", "prepare", "tiny_imagenet", "--folder", "nowhere"],
            "use --from FILE_OR_FOLDER; download tiny-imagenet-200.zip from",
        ),
        (["data", "prepare", "tiny_imagenet", "--folder", "nowhere", "--from", "nothing.zip"], "no such file or folder: nothing.zip"),
        (["data", "prepare", "cifar10", "--from", "x"], "--from is only for tiny_imagenet"),
        (["data", "prepare", ""], "the name of the data set is empty; possible: tiny_imagenet and those of TFDS"),
        (["data", "prepare", "no_such_set", "--folder", "nowhere"], "TFDS has no data set 'no_such_set'"),
        (["data", "prepare", "cifar10", "--folder", "nowhere"], "cifar10: TFDS's builder requires tensorflow, which is not installed"),
        (["data", "prepare", "coco/2017", "--folder", "nowhere"], "annotations/instances_*.json"),
    ],
)
@pytest.mark.usefixtures("no_tensorflow")
def test_errors_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(arguments) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1, err
    assert message in err
    assert not list(tmp_path.iterdir())


def test_a_folder_may_start_with_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(shaped.write_folder(tmp_path / "elsewhere", {"a": b""}))
    archive = shaped.write_zip(tmp_path / "tiny.zip", shaped.entries())
    assert writer.prepare("tiny_imagenet", origin=str(archive), folder="~/data").folder == tmp_path / "data/tiny_imagenet/1.0.0"
    assert len(tfds.source("test", seed=0, name="tiny_imagenet", folder="~/data")) == shaped.VAL
    assert len(tfds.source("test", seed=0, name="tiny_imagenet", folder="../data")) == shaped.VAL
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["a"]


def prepare_with(error: Exception | None, monkeypatch: pytest.MonkeyPatch, folder: Path, urls: tuple[str, ...] = ()) -> Any:
    """A call of `prepare` whose TFDS builder raises this error."""
    import tensorflow_datasets

    def download_and_prepare() -> None:
        if error is not None:
            raise error

    info = SimpleNamespace(splits={"train": SimpleNamespace(num_examples=3, shard_lengths=[2, 1])})
    builder = SimpleNamespace(data_dir=str(folder / "set" / "1.0.0"), url_infos=urls, download_and_prepare=download_and_prepare, info=info)
    monkeypatch.setattr(tensorflow_datasets, "builder", lambda *_, **__: builder)
    return lambda: writer.prepare("set", folder=str(folder))


def test_errors_of_tfds_are_reported_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    construction = RuntimeError("Failed to construct")
    construction.__cause__ = ModuleNotFoundError("No module named 'tensorflow'")
    assert_refused(prepare_with(construction, monkeypatch, tmp_path), "TFDS cannot prepare set", "requires tensorflow")
    manual = AssertionError("Manual directory /d/manual does not exist.\nDownload a.tar from example.org")
    assert_refused(prepare_with(manual, monkeypatch, tmp_path), "Manual directory /d/manual", "Download a.tar")
    assert_refused(prepare_with(ConnectionError("no route"), monkeypatch, tmp_path), "no route", "check the network connection")
    assert_refused(prepare_with(ValueError("odd\nthings"), monkeypatch, tmp_path), "ValueError: odd things")
    done = prepare_with(None, monkeypatch, tmp_path)()
    assert (done.status, done.examples, done.files, done.checked) == ("prepared", {"train": 3}, 2, False)


def test_without_a_network_an_error_is_raised_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(host: str, port: int) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    monkeypatch.setattr(writer.urllib.request, "getproxies", dict)
    refused = prepare_with(None, monkeypatch, tmp_path, ("https://data.example/a.zip",))
    assert_refused(refused, "set cannot be downloaded from data.example", "check the network connection")
    monkeypatch.setattr(writer.urllib.request, "getproxies", lambda: {"https": "http://proxy"})
    assert refused().status == "prepared", "a proxy may resolve hosts that this machine cannot"


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress = data_prepare.Progress("set")
    progress.start(4)
    progress.advance(3)
    progress.close()
    output = capsys.readouterr()
    assert "3/4" in output.err
    assert output.out == ""


def test_a_bad_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UserError):
        writer.prepare("tiny_imagenet", origin=str(tmp_path / "bad.zip"), folder=str(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]
