"""A small split with score maps and its metadata, for tests of what reads whole folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

IDS = tuple(f"class/{number}.jpg" for number in range(5))


def write_case(folder: Path) -> tuple[Path, Path]:
    """Writes `maps`, `metadata` with boxes, `masked` with masks and `masks`; returns the first two.

    A map is 1 in its box, 0.5 around it and 0 elsewhere. From one image to the next the truth shrinks.
    """
    for name in ("maps/class", "metadata", "masked", "masks"):
        (folder / name).mkdir(parents=True)
    boxes, lines = [], []
    for number, image in enumerate(IDS):
        map_hxw = np.zeros((224, 224), np.float32)
        map_hxw[20:180, 20:180], map_hxw[50:150, 50:150] = 0.5, 1
        np.save(folder / "maps" / f"{image}.npy", map_hxw)
        boxes.append(f"{image},{100},{100},{300 - 40 * number},300")
        mask = np.zeros((448, 448), np.uint8)
        mask[100:301, 100 : 301 - 40 * number] = 255
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
        lines.append(f"{image},{number}.png,")
    for name, localization in (("metadata", boxes), ("masked", lines)):
        (folder / name / "image_ids.txt").write_text("\n".join(IDS))
        (folder / name / "class_labels.txt").write_text("\n".join(f"{image},{number}" for number, image in enumerate(IDS)))
        (folder / name / "image_sizes.txt").write_text("\n".join(f"{image},448,448" for image in IDS))
        (folder / name / "localization.txt").write_text("\n".join(localization))
    return folder / "maps", folder / "metadata"
