"""python -m imgloc"""

from __future__ import annotations

import sys


def main() -> int:
    """The `imgloc` command; Ctrl-C while it is still being imported ends it in one line too."""
    try:
        from imgloc.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("imgloc: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
