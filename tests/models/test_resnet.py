"""ResNets against PyTorch's layers, published sizes, and, for dilated strides, against the plain network."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from imgloc.errors import UserError
from imgloc.models.backbones.resnet import BOTTLENECK, STAGES
from imgloc.models.resnet import Model
from tests.models.randomized import count, randomized, shapes
from tests.refusals import assert_refused

IMAGES = np.random.default_rng(0).uniform(size=(2, 64, 96, 3)).astype(np.float32)


# The numbers that PyTorch's documentation gives for torchvision.models.resnet18 and resnet50.
@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (50, 25_557_032)])
def test_a_resnet_has_the_published_number_of_parameters(depth: int, published: int) -> None:
    outputs, variables = shapes(Model(num_classes=1000, depth=depth, locate=False), (224, 224))
    assert count(variables["params"]) == published
    assert outputs["features"]["stage4"] == (1, 7, 7, {18: 512, 50: 2048}[depth])
    assert "box" not in outputs


def test_box_from_maps_predicts_the_box_from_heat_maps() -> None:
    outputs, variables = shapes(Model(num_classes=10, width=8, output_stride=8, box_from="maps"), (64, 96))
    assert outputs["features"]["edges"] == (1, 8, 12, 4)
    assert outputs["box"] == (1, 4)
    assert {"edges", "shift"} < set(variables["params"])
    with pytest.raises(UserError, match=r"unknown source of the box .* 'map'; did you mean 'maps'"):
        shapes(Model(num_classes=10, width=8, box_from="map"), (64, 64))


@pytest.mark.parametrize("depth", STAGES)
def test_every_output_stride_has_its_map_sizes_and_the_same_parameters(depth: int) -> None:
    height, width = 97, 64
    _, plain = shapes(Model(num_classes=10, depth=depth), (height, width))
    for output_stride in (8, 16, 32):
        outputs, variables = shapes(Model(num_classes=10, depth=depth, output_stride=output_stride), (height, width))
        assert variables == plain
        assert outputs["box"] == (1, 4)
        for stage, stride in {"stem": 2, "stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}.items():
            side = min(stride, output_stride)
            assert outputs["features"][stage][1:3] == (-(-height // side), -(-width // side)), (stage, output_stride)


@pytest.mark.parametrize("depth", STAGES)
def test_dilated_maps_at_every_nth_position_equal_the_plain_maps(depth: int) -> None:
    fine, plain = (Model(num_classes=10, depth=depth, width=4, output_stride=stride) for stride in (8, 32))
    variables = randomized(plain, IMAGES)
    expected = jax.jit(lambda v: plain.apply(v, IMAGES, train=False))(variables)["features"]
    dilated = jax.jit(lambda v: fine.apply(v, IMAGES, train=False))(variables)["features"]
    for stage, step in {"stage2": 1, "stage3": 2, "stage4": 4}.items():
        largest = np.abs(expected[stage]).max()
        np.testing.assert_allclose(dilated[stage][:, ::step, ::step] / largest, expected[stage] / largest, atol=1e-5)
    assert np.abs(dilated["stage4"][:, 1::4, 1::4] - expected["stage4"]).max() > 0.1 * largest, "the positions between have the same values"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("depth", 34, "depth must be one of 18, 50, got 34"), ("output_stride", 4, "8, 16, 32"), ("output_stride", 64, "8, 16, 32")],
)
def test_other_depths_and_strides_are_refused(name: str, value: int, message: str) -> None:
    assert_refused(lambda: shapes(Model(num_classes=10, **{name: value}), (64, 64)), f"model.{name}", str(value), message)


def torch_resnet(torch: Any, depth: int, width: int, classes: int) -> Any:
    """The network of He et al. built from PyTorch's layers."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inside: int, features: int, stride: int) -> None:
            super().__init__()
            bottleneck = depth in BOTTLENECK
            out = features * 4 if bottleneck else features
            # kernel, input, output, stride
            plan = [(1, inside, features, 1), (3, features, features, stride), (1, features, out, 1)]
            plan = plan if bottleneck else [(3, inside, out, stride), (3, out, out, 1)]
            self.convs = nn.ModuleList(nn.Conv2d(i, o, k, s, padding=k // 2, bias=False) for k, i, o, s in plan)
            self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, _, o, _ in plan)
            self.shortcut = None
            if stride != 1 or inside != out:
                self.shortcut = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

        def forward(self, x: Any) -> Any:
            y = x
            for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
                y = norm(conv(torch.relu(y) if index else y))
            return torch.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    blocks, inside = {}, width
    for stage, number in enumerate(STAGES[depth]):
        for index in range(number):
            features = width * 2**stage
            blocks[f"stage{stage + 1}_block{index + 1}"] = Block(inside, features, 2 if stage and not index else 1)
            inside = features * 4 if depth in BOTTLENECK else features
    stem = {"stem": nn.Conv2d(3, width, 7, 2, 3, bias=False), "stem_norm": nn.BatchNorm2d(width), "relu": nn.ReLU()}
    end = {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "classes": nn.Linear(inside, classes)}
    parts = {**stem, "max_pool": nn.MaxPool2d(3, 2, 1), **blocks, **end}
    model = nn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    return model.eval()


def torch_name(path: tuple[str, ...]) -> str:
    """The name in `torch_resnet` of the variable at a path of ours."""
    *parts, leaf = path
    leaf = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}.get(leaf, leaf)
    if len(parts) == 2 and parts[1].startswith("shortcut"):
        parts[1] = "shortcut.1" if parts[1].endswith("norm") else "shortcut.0"
    elif len(parts) == 2:
        kind, number = parts[1][:-1], int(parts[1][-1])
        parts[1] = f"{kind}s.{number - 1}"
    return ".".join([*parts, leaf])


@pytest.mark.parametrize(("depth", "width"), [(18, 64), (50, 8)])
def test_logits_equal_those_of_pytorch_with_the_same_weights(depth: int, width: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra `bench` brings it)")
    model = Model(num_classes=10, depth=depth, width=width, locate=False)
    variables = randomized(model, IMAGES)
    theirs = torch_resnet(torch, depth, width, 10)
    weights = {}
    for path, value in jax.tree_util.tree_leaves_with_path(variables):
        order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]  # HWIO -> OIHW, in x out -> out x in
        weights[torch_name(tuple(key.key for key in path[1:]))] = torch.from_numpy(value.transpose(order).copy())
    missing = theirs.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    ours = jax.jit(lambda v: model.apply(v, IMAGES, train=False))(variables)["logits"]
    with torch.no_grad():
        expected = theirs(torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy())).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(ours, expected, atol=1e-4, rtol=1e-4)
