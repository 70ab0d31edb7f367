"""Config keys, read from the source: every one declared is read, every one read is declared, every one says what it means."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "imgloc"


@cache
def sources() -> dict[str, ast.Module]:
    """Every file of the package by its path, parsed."""
    return {str(p.relative_to(PACKAGE)): ast.parse(p.read_text(), str(p)) for p in sorted(PACKAGE.rglob("*.py"))}


def imports_as_config(tree: ast.Module) -> bool:
    """Whether a file calls the module imgloc.config.schema `config`: then `config.x` is a function of it."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "imgloc")
    return any(alias.name == "config" and alias.asname is None for node in found for alias in node.names)


@cache
def declared() -> dict[str, int]:
    """`optim.lr` -> line, for every key that `config.schema.base()` sets; sections end in a dot."""
    base = next(node for node in sources()["config/schema.py"].body if isinstance(node, ast.FunctionDef) and node.name == "base")
    found = {}
    for node in ast.walk(base):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            section = ast.unparse(node.value) == "ConfigDict()"
            key = ast.unparse(node.targets[0]).removeprefix("config.")
            found[key + "." * section] = node.lineno
    return found


def chain(node: ast.expr) -> list[str]:
    """`a.b.c` as [a, b, c]; the head is "" where it is not a name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id if isinstance(node, ast.Name) else "", *parts[::-1]]


def assigned(node: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    """`x = a` and `x, y = a, b` as pairs of a name and what it names."""
    target, value = node.targets[0], node.value
    both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
    pairs = zip(target.elts, value.elts, strict=False) if both else [(target, value)]
    yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))


def chains(tree: ast.Module) -> Iterator[tuple[list[str], int]]:
    """The chain of each attribute that is read; a section under another name (`t = config.train`) is spelled out."""
    sections = {key[:-1] for key in declared() if key.endswith(".")}
    aliases = {}
    for node in ast.walk(tree):
        for name, value in assigned(node) if isinstance(node, ast.Assign) else ():
            parts = chain(value)
            if parts[:1] == ["config"] and ".".join(parts[1:]) in sections:
                aliases[name] = parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            parts = chain(node)
            yield [*aliases.get(parts[0], parts[:1]), *parts[1:]], node.lineno


def read_keys() -> dict[str, list[str]]:
    """`optim.lr` -> the places where an attribute `lr` of something called `optim` is read."""
    found: dict[str, list[str]] = {}
    for path, tree in sources().items():
        for parts, line in chains(tree):
            for key in (k for k in declared() if not k.endswith(".")):
                expected = key.split(".") if "." in key else ["config", key]
                if parts[-2:] == expected[-2:]:
                    found.setdefault(key, []).append(f"{path}:{line}")
    return found


def test_config_keys_are_found() -> None:
    assert {"seed", "optim.lr", "train.steps", "data.image_size", "model.name", "data.options.", "losses."} <= set(declared())
    assert len(declared()) > 35


def test_every_declared_config_key_is_read_somewhere() -> None:
    unread = sorted({key for key in declared() if not key.endswith(".")} - set(read_keys()))
    assert not unread, f"declared in config.schema.base() and read nowhere: {unread}"


def test_no_undeclared_config_key_is_read() -> None:
    sections = {key[:-1] for key in declared() if key.endswith(".")}
    methods = {"items", "keys", "values", "update", "to_dict", "unlocked", "lock", "unlock", "copy_and_resolve_references"}
    free = {"model", "losses", "data.options", "data.augment"}  # they also hold the options of what they name
    wrong = []
    for path, tree in sources().items():
        for parts, line in chains(tree):
            if parts[0] not in ("config", "recipe") or len(parts) < 2 or imports_as_config(tree):
                continue
            for depth in range(2, len(parts) + 1):
                key, above = ".".join(parts[1:depth]), ".".join(parts[1 : depth - 1])
                if parts[depth - 1] in methods or above in free:
                    break
                if key in sections:
                    continue
                if key not in declared():
                    wrong.append(f"{path}:{line} reads config.{key}")
                break
    assert not wrong, "\n".join(wrong)


def test_config_values_are_read_as_attributes() -> None:
    """`config.get("key")` hides a key from the checks above."""
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                assert ast.unparse(node.func.value).split(".")[0] != "config", f"{path}:{node.lineno} {ast.unparse(node)}"


def test_every_config_key_says_what_it_means() -> None:
    lines = (PACKAGE / "config" / "schema.py").read_text().splitlines()
    known = {"optim.b1", "optim.b2", "optim.eps", "train.steps", "eval.batch_size"}  # names that say it
    silent = [key for key, line in declared().items() if not key.endswith(".") and "#" not in lines[line - 1] and key not in known]
    assert not silent, f"no comment in config.schema.base(): {silent}"
