"""matplotlib figures as inline SVG that takes its colours and its type from the page around it."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

#: Names of colours that the page defines as CSS variables, so that figures follow its dark mode.
THEME = ("ink", "muted", "grid", "accent", "on-accent", "base-0", "base-1", *(f"run-{i}" for i in range(6)))
RUN_COLORS = 6
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "imgloc",  # ids from the content, not from chance
    "svg.fonttype": "none",  # text stays text: searchable, and read aloud
    "text.usetex": False,
    "text.parse_math": False,  # names are shown as they are, dollar signs too
    "font.size": 8.5,
    "axes.unicode_minus": True,
    "path.simplify": True,
}


def color(name: str) -> str:
    """A stand-in for a colour of THEME, which `inline` turns into the page's variable."""
    return f"#0102{THEME.index(name) + 1:02x}"


def inline(figure: Figure, name: str, label: str) -> Markup:
    """A figure as an `<svg>` element with an accessible label; `name` keeps its ids apart from other figures'.

    The same figure gives the same bytes.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # text stays text: the viewer has fonts of its own
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            # Its style element would reach the whole page; what it says is in the page's own style.
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    referenced = set(re.findall(r'(?:url\(|href=")#([^)"]+)', buffer.getvalue().decode()))
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = {_local(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        for key, value in attributes.items():
            if key == "id":
                if value in referenced:
                    element.set(key, f"{name}-{value}")
            elif key == "href":
                element.set(key, value.replace("#", f"#{name}-", 1))
            else:
                element.set(key, _themed(value.replace("url(#", f"url(#{name}-")))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # ElementTree has escaped the text in it


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]


def _themed(style: str) -> str:
    style = re.sub(r"#0102([0-9a-f]{2})", lambda found: f"var(--{THEME[int(found[1], 16) - 1]})", style)
    return re.sub(r"font: ([^;]*?[\d.]+px) [^;]*", r"font: \1 var(--sans)", style)
