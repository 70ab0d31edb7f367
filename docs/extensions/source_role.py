"""The role `source`: the path of a file of the repository as literal text. A path that does not exist is a warning."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole
from sphinx.util.logging import getLogger

ROOT = Path(__file__).parent.parent.parent


class SourceRole(SphinxRole):
    """A path relative to the root of the repository."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Returns the path as literal text."""
        if not (ROOT / self.text).exists():
            getLogger(__name__).warning("the repository has no file '%s'", self.text, location=self.get_location())
        return [nodes.literal(self.rawtext, self.text, classes=["file"])], []


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the role."""
    app.add_role("source", SourceRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
