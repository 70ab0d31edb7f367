"""Small folders of videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_frames(folder: Path, count: int) -> None:
    """Write frames of 20 x 10 pixels named 1.png, 2.png, ..., and 10.png for the last one; each has other pixels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(count)
    for number in [*range(1, count), 10]:
        Image.fromarray(rng.integers(0, 256, (10, 20, 3), dtype=np.uint8)).save(folder / f"{number}.png")


def write_split_folder(root: Path) -> Path:
    """Write three splits with seven videos of three frames each, in the format of GOT-10k."""
    for split in ("train", "val", "test"):
        for number in range(7):
            write_frames(root / split / f"video{number}", 3)
            (root / split / f"video{number}" / "groundtruth.txt").write_text("2,1,4,3\n3,1,4,3\n4,1,4,3\n")
    return root
