"""Images that appear in a folder: each is reported once, when it is complete."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.inference.watch import new_images
from tests import processes


def write(path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)


def test_an_image_is_reported_once_it_does_not_grow(tmp_path: Path) -> None:
    write(tmp_path / "before.png")
    (tmp_path / "notes.txt").write_text("no image")
    stop = threading.Event()
    found = new_images([tmp_path], stop.is_set)

    def write_slowly() -> None:
        time.sleep(0.5)
        with (tmp_path / "slow.png").open("wb") as file:
            for _ in range(8):
                file.write(b"part")
                file.flush()
                time.sleep(0.1)

    thread = threading.Thread(target=write_slowly)
    thread.start()
    assert next(found) == str(tmp_path / "slow.png")
    assert not thread.is_alive() or (tmp_path / "slow.png").stat().st_size >= 28
    thread.join()
    assert next(found) is None
    write(tmp_path / "before.png")  # again, at another time
    os.utime(tmp_path / "before.png", (1, 1))
    write(tmp_path / "second.png")
    assert {next(found), next(found)} == {str(tmp_path / "before.png"), str(tmp_path / "second.png")}
    assert next(found) is None
    stop.set()
    assert list(found) == []


def test_the_command_waits_for_images_until_it_is_stopped(evaluated_run: Path, tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    process = processes.start("locate", str(evaluated_run), str(folder), "--watch", "--out", str(tmp_path / "out"), cache=cache)
    assert process.stdout is not None
    try:
        time.sleep(2)
        write(folder / "a.png")
        first = json.loads(process.stdout.readline())
        write(folder / "b.png")
        second = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
    assert [Path(line["path"]).name for line in (first, second)] == ["a.png", "b.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("photo.png", "--watch"), "--watch requires a folder, got 'photo.png'"),
        (("inbox", "--watch", "--out", "inbox/out"), "--out 'inbox/out' is in the watched folder 'inbox'; choose another folder"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from imgloc.cli import main

    (tmp_path / "inbox").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main.main(["locate", "runs/none", *arguments]) == 2
    assert message in capsys.readouterr().err
