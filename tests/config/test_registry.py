"""Names become modules: files of a room, dotted modules of one's own, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import imgloc
from imgloc.config import registry
from imgloc.errors import UserError
from tests.refusals import assert_refused


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and the import system as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("my_"):
            del sys.modules[name]


@pytest.mark.parametrize("room", registry.ROOMS)
def test_a_rooms_names_are_its_files(room: str) -> None:
    folder = Path(imgloc.__path__[0]).joinpath(*room.split("."))
    assert registry.names(room) == sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")
    for name in registry.names(room):
        assert registry.find(room, name).__name__ == f"imgloc.{room}.{name}"


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^unknown loss 'box_l2'; did you mean 'box_l1'\? possible: .*cross_entropy.*giou"):
        registry.find("losses", "box_l2")
    with pytest.raises(UserError, match=r"^unknown model ''"):
        registry.find("models", "")


def test_a_dotted_name_is_ones_own_module_from_the_working_folder(own_folder: Path) -> None:
    (own_folder / "my_package").mkdir()
    (own_folder / "my_package" / "small.py").write_text("ANSWER = 42\n")
    assert registry.find("models", "my_package.small").ANSWER == 42


@pytest.mark.parametrize(
    "content", [None, "import a_package_that_is_not_there\n", "def broken(:\n", "raise RuntimeError('no\\nluck')\n", "x = undefined\n"]
)
def test_a_module_that_cannot_be_imported_is_refused_in_one_line(own_folder: Path, content: str | None) -> None:
    (own_folder / "my_models").mkdir()
    if content is not None:
        (own_folder / "my_models" / "net.py").write_text(content)
    assert_refused(lambda: registry.find("models", "my_models.net"), "my_models.net")


@pytest.mark.parametrize("name", [".", "..", ".relative", "trailing.", "a..b"])
def test_nonsense_is_refused(own_folder: Path, name: str) -> None:
    with pytest.raises(UserError):
        registry.find("models", name)
