"""Detects objects in a folder of images with a model of train_torchvision.py, as `imgloc locate` does; prints images per second.

    python experiments/detection/locate_torch.py --run RUN --images FOLDER --out detections.jsonl

Files are decoded by one thread ahead of the network. The last line is JSON: images per second from the first file to the last line
written, and seconds of the whole process after imports.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torch_detectors import Design, build
from torch_pictures import read_image

SUFFIXES = (".jpg", ".jpeg", ".png")
Decoded = tuple[Path, Tensor, int, int]


def read_batch(paths: Sequence[Path], design: Design) -> list[Decoded]:
    """Returns paths with their images, stretched to the size of the design, and the sizes of the files."""
    return [(path, *read_image(path, design.channels, design.size)) for path in paths]


def read_ahead(paths: Sequence[Path], size: int, design: Design) -> Iterator[list[Decoded]]:
    """Yields batches; the next one is decoded while the caller uses the one before."""
    parts = [paths[start : start + size] for start in range(0, len(paths), size)]
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(read_batch, parts[0], design)
        for part in [*parts[1:], None]:
            batch = pending.result()
            if part is not None:
                pending = pool.submit(read_batch, part, design)
            yield batch


@torch.inference_mode()
def main() -> None:
    """Writes a line of JSON for each image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, type=Path, help="a folder of train_torchvision.py")
    parser.add_argument("--images", required=True, type=Path, help="a folder of JPEG and PNG files")
    parser.add_argument("--out", required=True, type=Path, help="the file to write")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--threshold", type=float, default=0.3, help="lowest score of a detection (default: 0.3)")
    options = parser.parse_args()
    began = time.perf_counter()
    torch.set_num_threads(options.threads)
    saved = torch.load(options.run / "model.pt", weights_only=True)
    design = Design(**{name: tuple(value) if isinstance(value, list) else value for name, value in saved["design"].items()})
    model = build(design)
    model.load_state_dict(saved["weights"])
    model.eval()
    model.score_thresh = options.threshold
    paths = sorted(path for path in options.images.rglob("*") if path.suffix.lower() in SUFFIXES)
    start = time.perf_counter()
    with options.out.open("w") as file:
        for batch in read_ahead(paths, options.batch, design):
            for (path, pixels, width, height), found in zip(batch, model([pixels.float() / 255 for _, pixels, _, _ in batch]), strict=True):
                scale = torch.tensor([width / pixels.shape[2], height / pixels.shape[1]] * 2)
                answer = {"image": str(path), "boxes": (found["boxes"] * scale).tolist()}
                file.write(json.dumps({**answer, "labels": found["labels"].tolist(), "scores": found["scores"].tolist()}) + "\n")
    end = time.perf_counter()
    result = {"images": len(paths), "images_per_second": round(len(paths) / (end - start), 2), "seconds": round(end - began, 2)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
