"""Bundles that were changed on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgloc import files


def rewrite_header(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes bundle.json and gives it the fingerprint of what it then holds."""
    header = json.loads((folder / "bundle.json").read_text())
    change(header)
    header["fingerprint"] = files.fingerprint({**header, "fingerprint": ""})
    (folder / "bundle.json").write_text(json.dumps(header))
