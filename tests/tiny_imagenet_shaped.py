"""Small archives of generated images in Tiny ImageNet's layout."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

WNIDS = ("n02124075", "n01443537", "n04067472")  # not in alphabetical order, like the original
WORDS = {"n00001740": "entity", "n01443537": "goldfish, Carassius auratus", "n02124075": "Egyptian cat", "n04067472": "reel"}
TRAIN, VAL = 8, 5  # images of each class; images in total


def picture(number: int) -> bytes:
    """A JPEG of 64x64 pixels; grayscale for some numbers."""
    coarse = Image.fromarray(np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8))
    file = io.BytesIO()
    coarse.resize((64, 64)).convert("L" if number % 5 == 0 else "RGB").save(file, "JPEG")
    return file.getvalue()


def box(number: int) -> tuple[int, int, int, int]:
    """An inclusive box xyxy: one pixel for some numbers, the whole image for others."""
    if number % 4 == 0:
        return (0, 0, 63, 63) if number % 8 == 0 else (5, 7, 5, 7)
    return (number % 20, 3, 30 + number % 30, 40)


def entries(train: int = TRAIN, val: int = VAL) -> dict[str, bytes]:
    """The names and contents of the files, without the top folder."""
    files: dict[str, bytes] = {}
    for place, wnid in enumerate(WNIDS):
        numbers = range(1000 * place, 1000 * place + train)
        files |= {f"train/{wnid}/images/{wnid}_{n}.JPEG": picture(n) for n in numbers}
        lines = "".join("\t".join([f"{wnid}_{n}.JPEG", *map(str, box(n))]) + "\n" for n in numbers)
        files[f"train/{wnid}/{wnid}_boxes.txt"] = lines.encode()
    files |= {f"val/images/val_{n}.JPEG": picture(5000 + n) for n in range(val)}
    lines = "".join("\t".join([f"val_{n}.JPEG", WNIDS[n % 3], *map(str, box(n))]) + "\n" for n in range(val))
    files["val/val_annotations.txt"] = lines.encode()
    files["test/images/test_0.JPEG"] = picture(9000)
    files["wnids.txt"] = "".join(f"{wnid}\n" for wnid in WNIDS).encode()
    files["words.txt"] = "".join(f"{wnid}\t{word}\n" for wnid, word in WORDS.items()).encode()
    return files


def write_zip(path: Path, files: Mapping[str, bytes], root: str = "tiny-imagenet-200/") -> Path:
    """Writes a zip archive of these files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(root + name, content)
    return path


def write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    """Writes a folder of these files."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def prepare(folder: Path) -> None:
    """Prepares the archive with imgloc's own builder."""
    from imgloc.data.prepared import writer

    folder.mkdir(parents=True, exist_ok=True)
    archive = write_zip(folder / "archive.zip", entries())
    writer.prepare("tiny_imagenet", origin=str(archive), folder=str(folder))
