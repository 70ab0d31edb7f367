"""The photographs of `benchmarks.decoding` by PyTorch's DataLoader and torchvision's transforms, without boxes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import simplejpeg
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import v2


class Photographs:
    """The images of a folder, transformed."""

    def __init__(self, folder: Path, size: int, *, tensors: bool, smallest: float, factor: float) -> None:
        self.paths = sorted((folder / "images").glob("*.jpg"))
        kinds: Any = v2 if tensors else transforms
        steps = [
            kinds.RandomResizedCrop(size, scale=(smallest, 1.0)),
            kinds.RandomHorizontalFlip(),
            kinds.ColorJitter(factor, factor, factor),
        ]
        self.tensors = tensors
        self.transform = kinds.Compose(steps if tensors else [*steps, transforms.PILToTensor()])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if self.tensors:
            pixels = simplejpeg.decode_jpeg(self.paths[index].read_bytes(), "RGB")
            return self.transform(torch.from_numpy(pixels).permute(2, 0, 1)), 0
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB")), 0


def batches(
    folder: Path, size: int, *, batch: int, smallest: float, factor: float, tensors: bool, workers: int
) -> Iterator[Sequence[torch.Tensor]]:
    """Yields the DataLoader's batches, epoch after epoch, with persistent workers; see `benchmarks.decoding.batches`."""
    torch.set_num_threads(1)
    dataset = Photographs(folder, size, tensors=tensors, smallest=smallest, factor=factor)
    loader: Any = torch.utils.data.DataLoader(
        dataset, batch_size=batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))
