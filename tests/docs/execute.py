"""Executes the blocks of a page in order, all Python in one namespace: python -m tests.docs.execute PAGE, in the page's folder."""

from __future__ import annotations

import subprocess
import sys

from tests.docs import pages

SHELL = f'set -euo pipefail\nimgloc() {{ "{sys.executable}" -m imgloc "$@"; }}\n'


def main() -> None:
    """Ends with the first block that fails."""
    page = pages.DOCS / sys.argv[1]
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in pages.blocks(page):
        if not block.runs:
            continue
        if block.language == "bash":
            subprocess.run(["bash", "-c", SHELL + block.text], check=True)
        else:
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)


if __name__ == "__main__":
    main()
