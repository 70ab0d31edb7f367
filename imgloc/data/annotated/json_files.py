"""Parsing of JSON annotation files, which are untrusted: any value may have any type."""

from __future__ import annotations

import json
from collections.abc import Mapping

from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Fault
from imgloc.data.annotated.listing import Listing

MAX_FILES = 50


def parse_json(text: str) -> object:
    """Returns the value of a JSON text. Raises ValueError, with the reason, if it is not JSON or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    except ValueError as error:  # an integer of thousands of digits
        raise ValueError(str(error)[:200]) from error


def load_json(name: str, listing: Listing, faults: list[Fault], kind: str = "bad_file") -> object:
    """Returns the value of a listed JSON file; None if it cannot be read, which becomes a fault of this kind."""
    try:
        return parse_json(assemble.load_text(name, listing, faults))
    except ValueError as error:
        faults.append(Fault(kind, name, str(error)))
        return None


def first_files(listing: Listing) -> list[str]:
    """Returns the JSON files that decide which format a folder has: at most MAX_FILES, the outermost ones first.

    A folder with a file for each image may have very many.
    """
    return sorted(listing.with_suffix(".json"), key=lambda name: (name.count("/"), name))[:MAX_FILES]


def as_mapping(value: object) -> Mapping[str, object]:
    """Returns a JSON object, or an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Returns a JSON array, or an empty one for any other value."""
    return value if isinstance(value, list) else []
