"""The page about the commands has all of them."""

from __future__ import annotations

import importlib.util
import re

from imgloc.cli.main import make_parser
from tests.docs import pages


def test_every_command_has_its_help_on_the_page() -> None:
    spec = importlib.util.spec_from_file_location("command_help", pages.DOCS / "extensions" / "command_help.py")
    assert spec is not None
    assert spec.loader is not None
    command_help = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command_help)
    commands = [name for name, _ in command_help.parsers(make_parser())]
    assert {"imgloc", "imgloc train", "imgloc data check"} <= set(commands)
    page = (pages.DOCS / "commands.md").read_text()
    assert sorted(re.findall(r"```{command-help}\n(.*)\n```", page)) == sorted(commands)
    assert sorted(re.findall(r"^## (imgloc.*)$", page, flags=re.MULTILINE)) == sorted(commands)
