"""The progress of training without a terminal."""

from __future__ import annotations

import pytest

from imgloc.training.progress import Progress


def test_progress_without_a_terminal_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(0, 3, 8, every=0.0) as progress:
        progress.set_loss(0.25)
        for step in (1, 2, 3):
            progress.advance(step)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(f"step {step}/3  loss 0.2500" in line and "images/s" in line and "s left" in line for step, line in enumerate(lines, 1))


def test_progress_that_is_not_shown_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(0, 3, 8, every=0.0, show=False) as progress:
        progress.write("a line")
        progress.advance(3)
    assert capsys.readouterr() == ("", "")
