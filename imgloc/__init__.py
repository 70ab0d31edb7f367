"""imgloc: say what is in an image and where.

imgloc.load("runs/a") gives a trained run's predict function and its classes.
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from imgloc.inference.load import Loaded

__all__ = ["__version__", "load"]
__version__ = importlib.metadata.version("imgloc")


def load(path: str | Path, *, checkpoint: str = "best", batch_size: int = 32) -> Loaded:
    """A trained run, ready for use: `predict, classes = imgloc.load("runs/a")`.

    `predict` takes a list of pictures (paths, Pillow images, uint8 arrays) and gives one
    (label, score, box in pixels) each. Raises UserError where the folder holds no trained run.
    """
    from imgloc.inference.load import load as load_run

    return load_run(path, checkpoint=checkpoint, batch_size=batch_size)
