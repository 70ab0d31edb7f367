"""Completion, as bash computes it: the printed script is sourced and its function is called with words."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgloc.cli.completion import completion_script
from imgloc.cli.main import main, make_parser
from tests.refusals import assert_refused

COMPLETE = """\
source "$1"; shift
function=$(complete -p imgloc); function=${function#*-F }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
${function%% *}
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "imgloc.bash"
    path.write_text(completion_script(make_parser(), "bash"))
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ev"], {"evaluate"}),
        (["data", "ch"], {"check"}),
        (["--print-completion", ""], {"bash", "tcsh", "zsh"}),
        (["evaluate", "--checkp"], {"--checkpoint"}),
        (["evaluate", "runs", "--checkpoint", "l"], {"last"}),
        (["evaluate", "ru"], {"runs"}),  # a folder, not rules.txt
        (["report", "runs", "--out", "ru"], {"runs", "rules.txt"}),
        (["train", "--config", "digits_c"], {"digits_cnn", "digits_cascade", "digits_correlation_filter"}),
        (["train", "--config", "mi"], {"mine.py"}),
        (["data", "show", "--config", "tiny"], {"tiny_imagenet", "tiny_imagenet_from_labels"}),
    ],
)
def test_bash_completes_commands_options_files_folders_and_recipes(
    words: list[str], expected: set[str], script: Path, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    for name in ("rules.txt", "mine.py", "mine.txt"):
        (tmp_path / name).touch()
    command = ["bash", "--norc", "-c", COMPLETE, "bash", str(script), "imgloc", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected


@pytest.mark.parametrize(("shell", "contains"), [("bash", "complete "), ("zsh", "#compdef imgloc"), ("tcsh", "complete imgloc")])
def test_the_command_prints_the_script_of_each_shell(shell: str, contains: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", shell]) == 0
    printed = capsys.readouterr().out
    assert contains in printed
    assert "digits_cnn" in printed


def test_another_shell_is_refused() -> None:
    assert_refused(lambda: completion_script(argparse.ArgumentParser(), "fish"), "unknown shell 'fish'", "possible: bash, tcsh, zsh")


def test_the_help_imports_no_shtab() -> None:
    code = "import sys; from imgloc.cli.main import make_parser; make_parser().format_help(); print('shtab' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
