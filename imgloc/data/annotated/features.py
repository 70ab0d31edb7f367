"""Class names in the features that the Hugging Face library `datasets` declares
(https://huggingface.co/docs/datasets/about_dataset_features): in the schema of Parquet files, and in README.md.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

import yaml

from imgloc.data.annotated import assemble, json_files
from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.json_files import as_mapping
from imgloc.data.annotated.listing import Listing
from imgloc.errors import one_line

OBJECTS = ("objects", "annotations", "object", "faces")  # columns and keys of the objects of an image
CATEGORY = ("category", "categories", "category_id", "label", "labels", "class", "class_label")
MAX_YAML_BYTES = 2**18
MAX_DEPTH = 8  # of nested features that are searched


def schema_names(metadata: Mapping[bytes, bytes]) -> dict[int, str]:
    """Returns the class names in the features that `datasets` writes to the schema of a Parquet file."""
    try:
        content = as_mapping(json_files.parse_json(metadata.get(b"huggingface", b"{}").decode()))
    except ValueError:
        return {}
    features = as_mapping(as_mapping(content.get("info")).get("features"))
    key = next((key for key in OBJECTS if key in features), "")
    return _find_names(features[key] if key else features, MAX_DEPTH)


def _find_names(value: object, depth: int) -> dict[int, str]:
    """Returns the first `names` of a category in nested features; at most `depth` levels are searched."""
    if isinstance(value, list):  # a feature in README.md is an item with a name, elsewhere it is a key
        pairs = [(str(as_mapping(item).get("name", "")), item) for item in value]
    else:
        pairs = list(as_mapping(value).items())
    for key, item in pairs:
        names = _declared_names(item, 4) if key in CATEGORY else {}
        if names or (depth and (names := _find_names(item, depth - 1))):
            return names
    return {}


def _declared_names(value: object, depth: int) -> dict[int, str]:
    """Returns the names of a ClassLabel, which may be the value or inside it; the number of an unprintable name has none."""
    names = as_mapping(value).get("names")
    pairs = list(enumerate(names)) if isinstance(names, list) else list(as_mapping(names).items())
    found = {}
    for number, name in pairs:
        with contextlib.suppress(ValueError):
            found[int(str(number)[:6])] = assemble.parse_class_name(name)
    if found:
        return found
    inner = (_declared_names(item, depth - 1) for item in as_mapping(value).values() if depth and isinstance(item, dict))
    return next(filter(None, inner), {})


def readme_names(listing: Listing, faults: list[Fault]) -> dict[int, str]:
    """Returns the class names in `dataset_info` at the beginning of README.md."""
    if "README.md" not in listing.files:
        return {}
    head = listing.head("README.md", MAX_YAML_BYTES)
    match = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", head, re.DOTALL)
    if "dataset_info" not in (match[1] if match else head) or not head.startswith("---"):
        return {}
    try:
        if match is None:
            raise ValueError("the line --- at its end is missing")
        info = as_mapping(yaml.load(match[1], Loader=yaml.BaseLoader)).get("dataset_info")
        configs = info if isinstance(info, list) else [info]
        found = (_find_names(as_mapping(config).get("features"), MAX_DEPTH) for config in configs)
        return next(filter(None, found), {})
    except Exception as error:  # PyYAML also raises errors of other types for damaged files
        faults.append(Fault("bad_file", "README.md", f"its `dataset_info` cannot be read: {one_line(error, lines=1)[:200]}"))
        return {}
