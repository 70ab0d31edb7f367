"""The changelog has the form of keepachangelog.com, with one line for each entry."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.processes import ROOT

GROUPS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
VERSION = re.compile(r"## \[(Unreleased\]|\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2})")


def headings(lines: Sequence[str], level: str) -> list[str]:
    return [line.removeprefix(f"{level} ") for line in lines if line.startswith(f"{level} ")]


def test_versions_and_groups_are_those_of_keep_a_changelog_in_order() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert lines[0] == "# Changelog"
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    assert all(VERSION.fullmatch(line) for line in versions)
    for section in "\n".join(lines).split("\n## ")[1:]:
        groups = headings(section.splitlines(), "###")
        assert groups == [group for group in GROUPS if group in groups], groups


def test_each_entry_is_one_line_of_at_most_120_characters_that_ends_with_a_full_stop() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("### "))
    entries = [line for line in lines[first:] if line and not line.startswith(("#", "["))]
    assert len(entries) > 20
    assert not [line for line in entries if not re.fullmatch(r"- \S.{,116}\.", line)]
    assert len(set(entries)) == len(entries)
    assert not [line for line in lines if len(line) > 120]
