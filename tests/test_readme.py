"""README.md is short, refers to files that exist, and shows the table that its command prints."""

from __future__ import annotations

import re
import subprocess
import sys

from tests import processes

README = (processes.ROOT / "README.md").read_text()


def test_it_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 120] == []


def test_every_file_and_folder_that_it_links_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 10
    for target in targets:
        assert (processes.ROOT / target).exists(), target


def test_its_table_is_printed_by_the_command_below_it() -> None:
    (folder,) = re.findall(r"`imgloc experiment (experiments/\S+) --table` prints this table", README)
    printed = subprocess.run(
        [sys.executable, "-m", "imgloc", "experiment", folder, "--table"], cwd=processes.ROOT, capture_output=True, text=True, check=True
    ).stdout
    first, _, _ = printed.partition("\n\n")
    assert len(first.splitlines()) > 4
    assert first in README
