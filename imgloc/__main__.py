"""python -m imgloc"""

import sys

from imgloc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
