"""Rendering of the templates beside this file: pages that load nothing from the network."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

FOLDER = Path(__file__).parent
SEPARATORS = "_/.,:@-"


def render(template: str, **content: object) -> str:
    """The page of a template, such as `page.html.j2`. Raises jinja2.UndefinedError for a variable that is not in `content`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"sentence": _sentence, "breakable": _breakable}
    return environment.get_template(template).render(content)


def script_policy(name: str) -> str:
    """The Content-Security-Policy of a page that runs one script, a file beside this one, and sends requests to its own server alone."""
    digest = base64.b64encode(hashlib.sha256((FOLDER / name).read_bytes().removesuffix(b"\n")).digest()).decode()
    # Jinja leaves out the last line break of a file that it includes.
    sources = f"script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src blob: data:; media-src blob:; connect-src 'self'"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _breakable(text: str) -> Markup:
    """A name that a browser may break after its separators, and not within a word."""
    return Markup("<wbr>").join(part for part in re.split(f"(?<=[{SEPARATORS}])", text) if part)


def _sentence(text: str) -> str:
    """A text with a capital letter at its beginning and a full stop at its end."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
