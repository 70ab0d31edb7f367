"""The documentation builds without a warning, has every public name, and its links lead somewhere. One build serves all tests."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sphinx.util.inventory import InventoryFile

import imgloc
from tests import processes


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built as scripts/docs builds them."""
    (command,) = re.findall(r"^\.venv/bin/python (-m sphinx .*)$", (processes.ROOT / "scripts/docs").read_text(), flags=re.MULTILINE)
    out = tmp_path_factory.mktemp("site")
    given = command.replace(' "$@"', f" -d {out / 'doctrees'}").replace("docs/_build/html", str(out / "html")).split()
    variables = {**os.environ, "PYTHONPATH": str(processes.ROOT)}
    done = subprocess.run([sys.executable, *given], cwd=processes.ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    assert "WARNING: " not in done.stderr, done.stderr[-5000:]
    return out / "html"


class Page(HTMLParser):
    """What a page links to, its anchors, and its images without a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {"", "top"}
        self.silent: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.anchors |= {given[key] or "" for key in ("id", "name") if key in given}
        self.links += [given[key] or "" for key in ("href", "src") if key in given]
        if tag == "img" and not given.get("alt"):
            self.silent.append(given.get("src") or "")


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text()) for path in site.rglob("*.html") if "_static" not in path.parts}


def test_links_lead_to_files_and_anchors(site: Path, parsed: dict[Path, Page]) -> None:
    broken = set()
    for path, page in parsed.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            if not target.exists() or (target in parsed and unquote(address.fragment) not in parsed[target].anchors):
                broken.add(f"{path.relative_to(site)}: {link}")
    assert not broken, "\n".join(sorted(broken))


def test_pages_load_nothing_from_elsewhere(site: Path, parsed: dict[Path, Page]) -> None:
    loaded = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"(https?:[^\"]*)\"")
    for path in parsed:
        assert not loaded.findall(path.read_text()), path.relative_to(site)


def test_every_image_has_a_text(site: Path, parsed: dict[Path, Page]) -> None:
    silent = [f"{path.relative_to(site)}: {src}" for path, page in parsed.items() for src in page.silent]
    assert not silent


def documented_constants(path: Path) -> set[int]:
    """Lines of code that a `#:` comment describes: the line of the comment, or the next one."""
    with tokenize.open(path) as file:
        tokens = [token for token in tokenize.generate_tokens(file.readline) if token.type not in (tokenize.NL, tokenize.NEWLINE)]
    found: set[int] = set()
    for token, following in itertools.pairwise(tokens):
        if token.type == tokenize.COMMENT and token.string.startswith("#:"):
            alone = token.line.lstrip().startswith("#")
            found.add(following.start[0] if alone else token.start[0])
    return found


def public_names() -> Iterator[str]:
    """The modules of the package, and their public functions, classes, methods with a docstring, fields and documented constants.

    The package's own functions are among them; its classes are listed where they are defined.
    """
    yield from (f"imgloc.{name}" for name in imgloc.__all__ if name[0].islower())
    for path in sorted((processes.ROOT / "imgloc").rglob("*.py")):
        module = ".".join(path.relative_to(processes.ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text())
        if not tree.body or path.stem == "__main__":
            continue
        yield module
        constants = documented_constants(path)
        for node in tree.body:
            for name in names_of(node, constants):
                yield f"{module}.{name}"


def names_of(node: ast.AST, constants: set[int]) -> Iterator[str]:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.lineno in constants:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return
    yield node.name
    for child in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(child, ast.FunctionDef) and not child.name.startswith("_") and ast.get_docstring(child):
            yield f"{node.name}.{child.name}"
        if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name) and not child.target.id.startswith("_"):
            yield f"{node.name}.{child.target.id}"


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    listed = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    public = set(public_names())
    assert {"imgloc.load", "imgloc.types.Batch.label_b", "imgloc.types.Outputs", "imgloc.nn.conv.Conv"} <= public
    assert sorted(public - listed) == []


def test_signatures_are_short_and_without_inherited_names(site: Path) -> None:
    page = (site / "reference" / "imgloc.models.html").read_text()
    assert "imgloc.models.localizer.Model" in page
    assert "imgloc.models.localizer.Model.backbone" in page
    for inherited in ("Model.setup", "Model.tabulate", "Model.parent", "clone"):
        assert inherited not in page
