"""The models of the works in PyTorch, with the same layers as imgloc's."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.torch_ram import RAM
from benchmarks.works import GLIMPSES, LITE0_STAGES, RESNETS, Work

CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "elman": functools.partial(nn.RNN, batch_first=True),
    "irnn": functools.partial(nn.RNN, batch_first=True, nonlinearity="relu"),
    "lstm": functools.partial(nn.LSTM, batch_first=True),
    "gru": functools.partial(nn.GRU, batch_first=True),
}


class RowLSTM(nn.Module):
    """An LSTM over the rows of an image, and a dense layer on its last state.

    PyTorch's LSTM has a second bias for each gate: 4 x features more parameters, without further computation.
    """

    def __init__(self, work: Work, features: int = 50) -> None:
        super().__init__()
        self.rows = nn.LSTM(work.size * work.channels, features, batch_first=True)
        self.classes = nn.Linear(features, work.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits for images (b, c, h, w), c = 1."""
        states, _ = self.rows(images[:, 0])
        return self.classes(states[:, -1])


class Recurrence(nn.Module):
    """A recurrent layer over the rows or pixels of an image, and a dense layer on its last state. Each gate has two biases."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.inputs = work.size if work.order == "rows" else 1
        self.layer = CELLS[work.cell](self.inputs, work.units)
        self.classes = nn.Linear(work.units, work.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits for images (b, c, h, w), c = 1."""
        states, _ = self.layer(images.reshape(len(images), -1, self.inputs))
        return self.classes(states[:, -1])


class Residual(nn.Module):
    """The sum of a body and a shortcut, then an activation."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut, activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns features of the same shape as the body's."""
        return self.activation(self.body(x) + self.shortcut(x))


def make_model(work: Work) -> nn.Module:
    """Returns the model of a work for images (b, c, h, w)."""
    if work.model == "lstm":
        return RowLSTM(work)
    if work.model == "recurrence":
        return Recurrence(work)
    if work.model in GLIMPSES:
        return RAM(work.channels, work.classes, **GLIMPSES[work.model])
    if work.model == "three_layer_cnn":
        return _three_layer_cnn(work)
    if work.model == "digits_cnn":
        return _digits_cnn(work)
    return _efficientnet_lite0(work) if work.model == "efficientnet_lite0" else _resnet(work, *RESNETS[work.model])


def _three_layer_cnn(work: Work) -> nn.Module:
    layers: list[nn.Module] = []
    size, before = work.size, work.channels
    for features in (32, 64, 128):
        layers += [nn.Conv2d(before, features, 3), nn.ReLU(), nn.MaxPool2d(2)]
        size, before = (size - 2) // 2, features
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size * size * before, 512), nn.ReLU(), nn.Linear(512, work.classes))


def _digits_cnn(work: Work) -> nn.Module:
    layers: list[nn.Module] = []
    before = work.channels
    for i, features in enumerate((16, 32, 32, 64, 64)):
        layers += [nn.Conv2d(before, features, 3, padding=1), nn.GroupNorm(8, features), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i % 2 == 0 else []
        before = features
    side = work.size // 8
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(side * side * before, 128), nn.ReLU(), nn.Linear(128, work.classes))


def _normed(before: int, features: int, kernel: int, stride: int, activation: nn.Module | None, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, features, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(features), *([activation] if activation else []))


def _resnet(work: Work, bottleneck: bool, blocks: tuple[int, ...]) -> nn.Module:
    layers: list[nn.Module] = [_normed(work.channels, 64, 7, 2, nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
    before = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for i in range(count):
            stride = 2 if stage > 0 and i == 0 else 1
            if bottleneck:
                inner = (_normed(before, width, 1, 1, nn.ReLU()), _normed(width, width, 3, stride, nn.ReLU()))
                body = nn.Sequential(*inner, _normed(width, 4 * width, 1, 1, None))
            else:
                body = nn.Sequential(_normed(before, width, 3, stride, nn.ReLU()), _normed(width, width, 3, 1, None))
            after = 4 * width if bottleneck else width
            same = stride == 1 and before == after
            layers.append(Residual(body, nn.Identity() if same else _normed(before, after, 1, stride, None), nn.ReLU()))
            before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, work.classes))


def _efficientnet_lite0(work: Work) -> nn.Module:
    layers: list[nn.Module] = [_normed(work.channels, 32, 3, 2, nn.ReLU6())]
    before = 32
    for repeats, kernel, first_stride, expansion, features in LITE0_STAGES:
        for i in range(repeats):
            stride, wide = (first_stride if i == 0 else 1), before * expansion
            expand = [] if expansion == 1 else [_normed(before, wide, 1, 1, nn.ReLU6())]
            body = nn.Sequential(*expand, _normed(wide, wide, kernel, stride, nn.ReLU6(), groups=wide), _normed(wide, features, 1, 1, None))
            layers.append(Residual(body, nn.Identity(), nn.Identity()) if stride == 1 and before == features else body)
            before = features
    head = [_normed(before, 1280, 1, 1, nn.ReLU6()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, *head, nn.Linear(1280, work.classes))
