"""ImageNet's classes (Russakovsky et al., 2015, arXiv:1409.0575), and the mean and standard deviation of its images."""

from __future__ import annotations

from pathlib import Path

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of red, green and blue in [0, 1], as torchvision and timm have them
CLASSES = 1000
PATH = Path(__file__).parent / "imagenet_classes.txt"


def class_names(count: int) -> tuple[str, ...]:
    """The names of the classes of weights with this number of them: ImageNet's for 1000, else `class 0` and so on."""
    if count != CLASSES:
        return tuple(f"class {number}" for number in range(count))
    return tuple(line for line in PATH.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
