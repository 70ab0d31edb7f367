"""Annotation files that no format of imgloc reads: what they look like, for messages."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.listing import Listing

READ = "COCO, Pascal VOC, YOLO or CSV"
COCO_LISTS = ("images", "annotations", "categories")
TEXT_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".xml", ".txt")
MAX_FILES = 50  # of each suffix that are looked into
MIN_NAMED = 2  # images that a file names at least
_TOKEN = re.compile(r"""[^\s,;|"'<>()\[\]{}=]+""")


def describe_text(text: str, name: str) -> list[Fault]:
    """Returns a fault for a JSON file that looks like annotations of another tool."""
    if not name.lower().endswith(".json"):
        return []
    try:
        return describe_json(json.loads(text), name)
    except (ValueError, RecursionError):
        return []


def describe_json(content: object, name: str) -> list[Fault]:
    """Returns a fault for a JSON file that is not COCO but looks like annotations."""
    what = _json_kind(content)
    return [Fault("foreign_format", name, what)] if what else []


def _json_kind(content: object) -> str:
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, Mapping):
        return ""
    if isinstance(content, list):
        if "data" in first and {"annotations", "completions", "predictions"} & set(first):
            return _looks_like("Label Studio's JSON")
        return ""
    if {"project", "view", "metadata", "file"} <= set(first):
        return _looks_like("a project of VIA 3")
    if {"items", "categories"} <= set(first):
        return _looks_like("Datumaro's JSON")
    present = [key for key in COCO_LISTS if key in first]
    bad = [key for key in COCO_LISTS if not isinstance(first.get(key), list)]
    wrong = [f"`{key}` that is not a list" if key in first else f"no `{key}`" for key in bad]
    if "images" in present and len(present) > 1 and wrong:
        return f"it looks like COCO, but has {' and '.join(wrong)}"
    return ""


def describe_xml(root: ET.Element, name: str) -> list[Fault]:
    """Returns a fault for an XML file that is not Pascal VOC but looks like annotations."""
    if root.tag == "dataset" and root.find("images/image") is not None:
        return [Fault("foreign_format", name, _looks_like("dlib's imglab"))]
    return []


def _looks_like(tool: str) -> str:
    return f"it looks like {tool}, which is not read; export it as {READ}"


def files_naming_images(listing: Listing) -> list[str]:
    """Returns the text files of a folder that name several of its images near their beginning."""
    names = {name.rpartition("/")[2] for name in listing.images}
    stems = {name.rpartition(".")[0] for name in names}
    files = [name for suffix in TEXT_SUFFIXES for name in listing.with_suffix(suffix)[:MAX_FILES]]
    single = {name for name in files if name.rpartition("/")[2].rpartition(".")[0] in stems}  # a file for each image
    return [name for name in files if _named(listing.head(name), names, stems) >= (1 if name in single else MIN_NAMED)]


def _named(head: str, names: set[str], stems: set[str]) -> int:
    """Returns how many images a text names; by stems alone, only if they begin most of its lines."""
    by_name = {token for token in (token.rpartition("/")[2] for token in _TOKEN.findall(head)) if token in names}
    lines = [line for line in head.splitlines()[1:] if line.strip()]
    first = [match[0] for line in lines if (match := _TOKEN.match(line.lstrip(' "')))]
    by_stem = {token for token in first if token in stems}
    return max(len(by_name), len(by_stem) if 2 * len(by_stem) > len(lines) else 0)
