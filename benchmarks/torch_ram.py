"""Recurrent attention in PyTorch: what `imgloc.models.ram` computes in training, with the policy learned, and its losses."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional


class Answer(NamedTuple):
    """What the losses read: logits (b, k); of every place c that the policy chose log_probability (b, c) and baselines (b, c)."""

    logits: torch.Tensor
    log_probability: torch.Tensor
    baselines: torch.Tensor


class RAM(nn.Module):
    """Glimpses of several scales, a recurrent core, a policy whose places are drawn; fields are those of `imgloc.models.ram`."""

    def __init__(
        self, channels: int, classes: int, *, glimpses: int, size: int, scales: int, units: int = 256, sensed: int = 128,
        deviation: float = 0.05,
    ) -> None:  # fmt: skip
        super().__init__()
        self.glimpses, self.size, self.scales, self.units, self.deviation = glimpses, size, scales, units, deviation
        self.what = nn.Linear(channels * scales * size * size, sensed)
        self.where = nn.Linear(2, sensed)
        self.glimpse = nn.Linear(2 * sensed, units)
        self.core = nn.Linear(2 * units, units)
        self.classes = nn.Linear(units, classes)
        self.plan = nn.Linear(units, sensed)
        self.place = nn.Linear(sensed, 2)
        self.baseline = nn.Linear(sensed, 1)

    def forward(self, images: torch.Tensor, uniform: torch.Tensor | None = None, normal: torch.Tensor | None = None) -> Answer:
        """The answer for images (b, c, h, w); drawn if not given: uniform (b, 2), the first places, and normal (b, g - 1, 2) numbers."""
        b, g = len(images), self.glimpses
        place = torch.rand(b, 2, device=images.device) if uniform is None else uniform
        noise = self.deviation * (torch.randn(b, g - 1, 2, device=images.device) if normal is None else normal)
        levels = pooled(images, self.scales)
        state = images.new_zeros(b, self.units)
        plans, means, drawn = [], [], []
        for i in range(g):
            if i:
                plan = self.plan(state).relu()
                mean = (1 + torch.tanh(self.place(plan).float())) / 2
                free = mean.detach() + noise[:, i - 1]
                place = free.clamp(0, 1)
                plans.append(plan)
                means.append(mean)
                drawn.append(free)
            patches = crops(levels, place, self.size, images.shape[-2:])
            sensed = torch.cat([self.what(patches), self.where(2 * place - 1)], 1).relu()
            state = self.core(torch.cat([state, self.glimpse(sensed).relu()], 1)).relu()
        away = (torch.stack(drawn, 1) - torch.stack(means, 1)) / self.deviation
        log_probability = -0.5 * away.square().sum(-1) - math.log(2 * math.pi * self.deviation**2)
        return Answer(self.classes(state), log_probability, self.baseline(torch.stack(plans, 1)).float()[..., 0])


# The quickest of several ways: milliseconds on one core for all glimpses of a step of ram_cluttered, of ram_mnist: 4.6, 0.3; larger
# crops that are gathered, then pooled, 11.9, 0.2; grid_sample, then pooling, 13, 0.4; two batched products of matrices for each scale
# 22.7, 2.1; levels by avg_pool2d 46, 0.2.
def pooled(images: torch.Tensor, scales: int) -> list[torch.Tensor]:
    """Means of all `s * s` pixels for s = 1, 2, 4, ..., 0 beyond the edges: (b, c, h + s + 1, w + s + 1), the first and last of a row 0."""
    levels = [functional.pad(images, (1, 1, 1, 1))]
    for i in range(1, scales):
        half = 2 ** (i - 1)
        level = functional.pad(levels[-1], (half, half, half, half))
        level = level[:, :, :-half] + level[:, :, half:]
        levels.append((level[..., :-half] + level[..., half:]).mul_(0.25))
    return levels


def crops(levels: list[torch.Tensor], place: torch.Tensor, size: int, image: torch.Size) -> torch.Tensor:
    """The patches around places (b, 2) of every level, side by side, (b, c scales size size)."""
    sides = torch.tensor([image[1], image[0]], device=place.device)
    cells = torch.arange(size, device=place.device)
    patches = []
    for i, level in enumerate(levels):
        scale, (b, c, height, width) = 2**i, level.shape
        first = torch.round(place * sides - size * scale / 2).long()
        at = first[:, :, None] + scale * (cells + 1)
        rows, columns = at[:, 1].clamp(0, height - 1), at[:, 0].clamp(0, width - 1)
        index = (rows[:, :, None] * width + columns[:, None]).view(b, 1, -1).expand(b, c, -1)
        patches.append(level.reshape(b, c, -1).gather(2, index).view(b, -1))
    return torch.cat(patches, 1)


def loss(answer: Answer, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and REINFORCE with a baseline, means over the batch."""
    reward = (answer.logits.argmax(1) == labels).float()
    error = reward[:, None] - answer.baselines
    policy = error.square() - error.detach() * answer.log_probability
    return functional.cross_entropy(answer.logits, labels) + policy.sum(1).mean()
