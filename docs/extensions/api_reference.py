"""The API reference: one generated page for each package of imgloc, with all modules, and autodoc's events.

Signatures and fields are shown as they are written in the source, so that types are short: `Batch`, not `imgloc.types.Batch`.
The fields of dataclasses, named tuples and linen modules are listed with their defaults and the comments beside or above them.
"""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import imgloc

ROOT = Path(__file__).parent.parent.parent
LONGEST_VALUE = 200  # characters of a value that is shown
PAGES = Path(__file__).parent.parent / "reference"
MODULE = """
{module}
{underline}

.. automodule:: {module}
   :members:
   :special-members: __call__
"""


class Field(NamedTuple):
    """An annotated name in the body of a class."""

    name: str
    annotation: str
    default: str | None
    comment: str


@cache
def modules() -> dict[str, Path]:
    """The files of the package's modules by their dotted names; a package is its `__init__.py`."""
    found = {"imgloc": ROOT / "imgloc" / "__init__.py"}
    for module in pkgutil.walk_packages([str(ROOT / "imgloc")], "imgloc."):
        if not module.name.endswith("__main__"):
            path = ROOT / module.name.replace(".", "/")
            found[module.name] = path / "__init__.py" if module.ispkg else path.with_suffix(".py")
    return found


@cache
def tree(module: str) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(modules()[module].read_text())


def definition(name: str) -> tuple[str, ast.AST] | None:
    """The module and the syntax tree of a dotted name such as `imgloc.nn.conv.Conv.__call__`; None where there is none."""
    module = name
    while module and module not in modules():
        module = module.rpartition(".")[0]
    if not module:
        return None
    node: ast.AST = tree(module)
    for part in name.removeprefix(module).strip(".").split("."):
        body = getattr(node, "body", [])
        node = next((child for child in body if getattr(child, "name", "") == part), None)  # type: ignore[arg-type]
        if node is None:
            return None
    return module, node


def fields(module: str, node: ast.ClassDef) -> Iterator[Field]:
    """The public fields of a class, with the comment beside each of them, or else the lines of comment above it."""
    lines = modules()[module].read_text().splitlines()
    for child in node.body:
        if not isinstance(child, ast.AnnAssign) or not isinstance(child.target, ast.Name) or child.target.id.startswith("_"):
            continue
        last = child.end_lineno or child.lineno
        comment = lines[last - 1].encode()[child.end_col_offset or 0 :].decode().strip().lstrip("#: ")
        first = child.lineno - 1
        while not comment and lines[first - 1].lstrip().startswith("#"):
            first -= 1
        comment = comment or " ".join(line.lstrip("#: ") for line in lines[first : child.lineno - 1])
        default = None if child.value is None else ast.unparse(child.value)
        yield Field(child.target.id, ast.unparse(child.annotation), default, comment)


def custom_derivatives(module: str) -> str:
    """Functions with `jax.custom_jvp` or `jax.custom_vjp`, which autodoc takes for plain objects."""
    text = ""
    for node in tree(module).body:
        decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", [])]
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and any("jax.custom_" in name for name in decorators):
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            docstring = (ast.get_docstring(node) or "").replace("\n", "\n   ")
            text += f"\n.. py:function:: {node.name}({ast.unparse(node.args)}){returns}\n\n   {docstring}\n"
    return text


def classes() -> list[str]:
    """The names that the package offers and that begin with a capital letter."""
    return [name for name in imgloc.__all__ if name[0].isupper()]


def write_pages(app: Sphinx) -> None:
    """Write a page for each package of imgloc, with a section for each of its modules."""
    packages: dict[str, list[str]] = {}
    for module, path in modules().items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        packages.setdefault(package, []).append(module)
    pages = {}
    for package, members in packages.items():
        text = f"{package}\n{'=' * len(package)}\n"
        with_code = [module for module in members if tree(module).body]
        text += "".join(MODULE.format(module=module, underline="-" * len(module)) + custom_derivatives(module) for module in with_code)
        if package == "imgloc":  # classes of other modules are described there
            text = text.replace("   :members:\n", f"   :exclude-members: {', '.join(classes())}\n   :members:\n", 1)
        if with_code:
            pages[PAGES / f"{package}.rst"] = text
    for outdated in set(PAGES.glob("imgloc*.rst")) - set(pages):
        outdated.unlink()
    for page, text in pages.items():
        if not page.exists() or page.read_text() != text:
            page.write_text(text)
    for module in modules():  # fields are listed by `list_fields`, not by autodoc
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        analyzer.attr_docs = {key: value for key, value in analyzer.attr_docs.items() if not key[0]}


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, arguments: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """A function's signature as it is written; for a class, the names and defaults of its fields."""
    found = definition(name)
    if found is None or arguments is None:
        return None
    module, node = found
    if isinstance(node, ast.ClassDef):
        shown = [field.name if field.default is None else f"{field.name}={field.default}" for field in fields(module, node)]
        return f"({', '.join(shown)})", None
    if not isinstance(node, ast.FunctionDef):
        return None
    given = ast.parse(f"def function({ast.unparse(node.args)}): ...").body[0].args  # type: ignore[attr-defined]
    if what == "method" and given.args and given.args[0].arg in ("self", "cls"):
        del given.args[0]
    return f"({ast.unparse(given)})", ast.unparse(node.returns) if node.returns else None


def show_value(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Append the value of a constant or alias to its documentation as it is written in the source, unless it is long."""
    module, _, last = name.rpartition(".")
    for node in tree(module).body if what == "data" and module in modules() else ():
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if last in [getattr(target, "id", "") for target in targets] and node.value is not None:  # type: ignore[attr-defined]
            value = ast.unparse(node.value)  # type: ignore[attr-defined]
            lines += ["", f"``{last} = {value}``", ""] if len(value) <= LONGEST_VALUE else []


def list_fields(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Append the fields of a class to its docstring, as attributes."""
    found = definition(name)
    if found is None or not isinstance(found[1], ast.ClassDef):
        return
    for field in fields(found[0], found[1]):
        lines += ["", f".. py:attribute:: {field.name}", f"   :type: {field.annotation}"]
        lines += [f"   :value: {field.default}"] if field.default is not None else []
        lines += ["", f"   {field.comment}", ""]


def skip_fields(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Skip what stands in a class as the default of a field: a getter of a named tuple, or a function of another name."""
    last = name.rpartition(".")[2]
    if what == "class" and (type(obj).__name__ == "_tuplegetter" or getattr(obj, "__name__", last) != last):
        return True
    return None


def code(role: str, rawtext: str, text: str, lineno: int, inliner: Inliner, options: Any = None, content: Any = ()) -> Any:
    """The default role: literal text, which is a link where it is the name of something in the reference."""
    literal = nodes.literal(rawtext, text, classes=["code"])
    if not text.replace(".", "").replace("_", "").isalnum():
        return [literal], []
    context = inliner.document.settings.env.ref_context
    link = addnodes.pending_xref(rawtext, literal, refdomain="py", reftype="obj", reftarget=text, refexplicit=False)
    link["refdoc"] = inliner.document.settings.env.docname
    link["py:module"], link["py:class"] = context.get("py:module"), context.get("py:class")
    return [link], []


@cache
def names(module: str) -> dict[str, str]:
    """The names that a module imports from imgloc or defines itself, with their full dotted names."""
    found = {}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "imgloc":
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for child in tree(module).body:
        targets = child.targets if isinstance(child, ast.Assign) else [child.target] if isinstance(child, ast.AnnAssign) else [child]
        found |= {name: f"{module}.{name}" for target in targets if (name := getattr(target, "id", getattr(target, "name", "")))}
    return found


def complete_names(app: Sphinx, doctree: nodes.document) -> None:
    """Replace the target of each link by its full name, by the imports of the module in which it is written; Sphinx would guess."""
    for link in doctree.findall(addnodes.pending_xref):
        if link.get("refdomain") == "py" and link.get("py:module") in modules():
            first, dot, rest = link["reftarget"].partition(".")
            link["reftarget"] = names(link["py:module"]).get(first, first) + dot + rest
            link.attributes.pop("refspecific", None)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects the events."""
    app.add_role("code-or-link", code)
    app.config.default_role = "code-or-link"
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", list_fields)
    app.connect("autodoc-process-docstring", show_value)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("doctree-read", complete_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
