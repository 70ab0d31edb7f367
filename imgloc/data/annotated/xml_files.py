"""Parsing of XML annotation files, which are untrusted: no document types, no entities, and a limited depth."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

MAX_DEPTH = 64  # of nested elements


def parse_xml(text: str) -> ET.Element:
    """Returns the root of an XML text. Raises ValueError if it is not XML, or declares a document type or entities."""
    if "<!doctype" in text.lower() or "<!entity" in text.lower():
        raise ValueError("it declares a document type or entities, which annotations do not need; it is not parsed")
    parser: Any = ET.XMLPullParser(events=("start", "end"))
    depth = 0
    root: ET.Element | None = None
    try:
        for start in range(0, len(text), 2**16):  # in pieces, to check the depth before the whole tree is built
            parser.feed(text[start : start + 2**16])
            for event, element in parser.read_events():
                root = element if root is None else root
                depth += 1 if event == "start" else -1
                if depth > MAX_DEPTH:
                    raise ValueError(f"its elements are nested more than {MAX_DEPTH} deep")
        parser.close()
    except ET.ParseError as error:
        raise ValueError(f"it is not XML: {error}") from error
    if root is None:
        raise ValueError("the file is empty")
    return root
