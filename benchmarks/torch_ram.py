"""Recurrent attention in PyTorch: the training computation of `imgloc.models.ram` with a learned policy, and its losses."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional


class RAMOutputs(NamedTuple):
    """Outputs that the losses use: logits (b, k), and for the c locations that the policy chose log_probability and baselines (b, c)."""

    logits: torch.Tensor
    log_probability: torch.Tensor
    baselines: torch.Tensor


class RAM(nn.Module):
    """Glimpses at several scales, a recurrent core, and a stochastic policy; fields are those of `imgloc.models.ram`."""

    def __init__(
        self, channels: int, classes: int, *, glimpses: int, size: int, scales: int, units: int = 256, glimpse_hidden: int = 128,
        location_std: float = 0.05,
    ) -> None:  # fmt: skip
        super().__init__()
        self.glimpses, self.size, self.scales, self.units, self.location_std = glimpses, size, scales, units, location_std
        self.what = nn.Linear(channels * scales * size * size, glimpse_hidden)
        self.where = nn.Linear(2, glimpse_hidden)
        self.glimpse = nn.Linear(2 * glimpse_hidden, units)
        self.core = nn.Linear(2 * units, units)
        self.classes = nn.Linear(units, classes)
        self.plan = nn.Linear(units, glimpse_hidden)
        self.place = nn.Linear(glimpse_hidden, 2)
        self.baseline = nn.Linear(glimpse_hidden, 1)

    def forward(self, images: torch.Tensor, uniform: torch.Tensor | None = None, normal: torch.Tensor | None = None) -> RAMOutputs:
        """Returns outputs for images (b, c, h, w). `uniform` (b, 2), the first locations, and `normal` (b, g - 1, 2) are random if None."""
        b, g = len(images), self.glimpses
        location = torch.rand(b, 2, device=images.device) if uniform is None else uniform
        noise = self.location_std * (torch.randn(b, g - 1, 2, device=images.device) if normal is None else normal)
        levels = pooled(images, self.scales)
        state = images.new_zeros(b, self.units)
        plans, means, samples = [], [], []
        for i in range(g):
            if i:
                plan = self.plan(state).relu()
                mean = (1 + torch.tanh(self.place(plan).float())) / 2
                sample = mean.detach() + noise[:, i - 1]
                location = sample.clamp(0, 1)
                plans.append(plan)
                means.append(mean)
                samples.append(sample)
            patches = crops(levels, location, self.size, images.shape[-2:])
            features = torch.cat([self.what(patches), self.where(2 * location - 1)], 1).relu()
            state = self.core(torch.cat([state, self.glimpse(features).relu()], 1)).relu()
        deviation = (torch.stack(samples, 1) - torch.stack(means, 1)) / self.location_std
        log_probability = -0.5 * deviation.square().sum(-1) - math.log(2 * math.pi * self.location_std**2)
        return RAMOutputs(self.classes(state), log_probability, self.baseline(torch.stack(plans, 1)).float()[..., 0])


# The fastest of several implementations. Milliseconds on one core for all glimpses of a step of ram_cluttered and of ram_mnist: 4.6 and
# 0.3; gathering larger crops and pooling them, 11.9 and 0.2; grid_sample and pooling, 13 and 0.4; two batched matrix products for each
# scale, 22.7 and 2.1; levels by avg_pool2d, 46 and 0.2.
def pooled(images: torch.Tensor, scales: int) -> list[torch.Tensor]:
    """Returns the means of all windows of s x s pixels for s = 1, 2, 4, ..., (b, c, h + s + 1, w + s + 1) each; outside the image is 0."""
    levels = [functional.pad(images, (1, 1, 1, 1))]
    for i in range(1, scales):
        half = 2 ** (i - 1)
        level = functional.pad(levels[-1], (half, half, half, half))
        level = level[:, :, :-half] + level[:, :, half:]
        levels.append((level[..., :-half] + level[..., half:]).mul_(0.25))
    return levels


def crops(levels: list[torch.Tensor], location: torch.Tensor, size: int, image: torch.Size) -> torch.Tensor:
    """Returns the patches of every level around locations (b, 2), concatenated: (b, c * scales * size * size)."""
    sides = torch.tensor([image[1], image[0]], device=location.device)
    cells = torch.arange(size, device=location.device)
    patches = []
    for i, level in enumerate(levels):
        scale, (b, c, height, width) = 2**i, level.shape
        first = torch.round(location * sides - size * scale / 2).long()
        positions = first[:, :, None] + scale * (cells + 1)
        rows, columns = positions[:, 1].clamp(0, height - 1), positions[:, 0].clamp(0, width - 1)
        index = (rows[:, :, None] * width + columns[:, None]).view(b, 1, -1).expand(b, c, -1)
        patches.append(level.reshape(b, c, -1).gather(2, index).view(b, -1))
    return torch.cat(patches, 1)


def loss(outputs: RAMOutputs, labels: torch.Tensor) -> torch.Tensor:
    """Returns cross-entropy plus REINFORCE with a baseline, means over the batch."""
    reward = (outputs.logits.argmax(1) == labels).float()
    error = reward[:, None] - outputs.baselines
    policy = error.square() - error.detach() * outputs.log_probability
    return functional.cross_entropy(outputs.logits, labels) + policy.sum(1).mean()
