"""The works in PyTorch: eager, channels-last, or compiled; fused Adam; bfloat16 by autocast on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks import torch_ram
from benchmarks.measure import Prepared
from benchmarks.settings import cores
from benchmarks.torch_models import make_model
from benchmarks.works import GLIMPSES, Work


def make(work: Work, implementation: str, *, platform: str) -> Prepared:
    """Returns a work with its model and a batch of float images on the device, in the memory layout of the implementation."""
    device = torch.device("cpu" if platform == "cpu" else "cuda")
    torch.set_num_threads(cores())
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    layout = torch.contiguous_format if implementation == "torch_eager" else torch.channels_last
    model = make_model(work).to(device).to(memory_format=layout)
    parameters = sum(p.numel() for p in model.parameters())
    call: Callable[..., Any] = torch.compile(model) if implementation == "torch_compiled" else model
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((work.batch, work.channels, work.size, work.size), np.float32))
    images = images.to(device).to(memory_format=layout)
    labels = torch.from_numpy(rng.integers(0, work.classes, work.batch)).to(device)

    def autocast() -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext() if device.type == "cpu" else torch.autocast("cuda", torch.bfloat16)

    def wait() -> None:
        if device.type != "cpu":
            torch.cuda.synchronize()

    if not work.train:
        model.eval()

        def forward(calls: int) -> None:
            with torch.inference_mode(), autocast():
                for _ in range(calls):
                    call(images)
            wait()

        return Prepared(forward, parameters)

    loss_of: Callable[..., Any] = torch_ram.loss if work.model in GLIMPSES else torch.nn.functional.cross_entropy
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def train(calls: int) -> None:
        for _ in range(calls):
            optimizer.zero_grad(set_to_none=True)
            with autocast():
                loss = loss_of(call(images), labels)
            loss.backward()
            optimizer.step()
        wait()

    return Prepared(train, parameters)
