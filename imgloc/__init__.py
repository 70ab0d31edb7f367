"""imgloc: image localization with JAX.

`imgloc.load("runs/a")` returns the predict function of a trained model and its classes.
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgloc.inference.load import Loaded

__all__ = ["__version__", "load"]
__version__ = importlib.metadata.version("imgloc")


def load(path: str | Path, *, checkpoint: str = "best", batch_size: int = 32, allow_imports: Sequence[str] = ()) -> Loaded:
    """A trained model, ready for use: `predict, classes = imgloc.load("runs/a")`.

    `path` is a run folder, or a trained model: `RUN/model` or a copy of it. `predict` takes an image (a path, a Pillow image, a
    uint8 array) and returns the answer of the task, such as (label, score, box in pixels); of a list of images it returns a list.
    `allow_imports` names the modules outside imgloc that the saved config may import. Raises UserError for a path without a model.
    """
    from imgloc.inference.load import load as load_model

    return load_model(path, checkpoint=checkpoint, batch_size=batch_size, allow_imports=allow_imports)
