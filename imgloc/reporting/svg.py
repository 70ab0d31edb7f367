"""matplotlib figures as inline SVG with the colours and the font of the page."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

#: Colours that the page defines as CSS variables, so that figures have a dark mode.
THEME = ("ink", "muted", "grid", "heat", "base-0", "base-1", *(f"run-{i}" for i in range(6)))
RUN_COLORS = 6
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "imgloc",  # ids depend on the content alone
    "svg.fonttype": "none",  # text stays text, for search and for screen readers
    "text.usetex": False,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 8.5,
    "axes.unicode_minus": True,
    "path.simplify": True,
}


def color(name: str) -> str:
    """A placeholder for a colour of THEME, which `inline_svg` replaces by the variable of the page."""
    return f"#0102{THEME.index(name) + 1:02x}"


def inline_svg(figure: Figure, name: str, label: str) -> Markup:
    """A figure as an `<svg>` element with an accessible label; `name` is the prefix of its ids, unique within the page.

    Equal figures give equal bytes.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # the browser has other fonts
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            # A style element would apply to the whole page, which has the same rules.
            if _without_namespace(child.tag) in ("metadata", "style"):
                parent.remove(child)
    referenced = set(re.findall(r'(?:url\(|href=")#([^)"]+)', buffer.getvalue().decode()))
    for element in root.iter():
        element.tag = _without_namespace(element.tag)
        attributes = {_without_namespace(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        for key, value in attributes.items():
            if key == "id":
                if value in referenced:
                    element.set(key, f"{name}-{value}")
            elif key == "href":
                element.set(key, value.replace("#", f"#{name}-", 1))
            else:
                element.set(key, _replace_placeholders(value.replace("url(#", f"url(#{name}-")))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # ElementTree escapes the text


def _without_namespace(name: str) -> str:
    return name.rsplit("}", 1)[-1]


def _replace_placeholders(style: str) -> str:
    style = re.sub(r"#0102([0-9a-f]{2})", lambda match: f"var(--{THEME[int(match[1], 16) - 1]})", style)
    return re.sub(r"font: ([^;]*?[\d.]+px) [^;]*", r"font: \1 var(--sans)", style)
