"""EfficientNet-Lite against published sizes, PyTorch's layers, and, for dilated strides, against the plain network."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest

from imgloc.models.backbones.efficientnet_lite import Block, scaled_channels
from imgloc.models.efficientnet_lite import TINY, Model
from tests.models.randomized import count, randomized, shapes
from tests.refusals import assert_refused

IMAGES = np.random.default_rng(0).uniform(size=(2, 64, 96, 3)).astype(np.float32)
STRIDES = {"stem": 2, "stage1": 2, "stage2": 4, "stage3": 8, "stage4": 16, "stage5": 16, "stage6": 32, "stage7": 32, "head": 32}


def published_by_hand() -> int:
    """Parameters of Lite0 with 1000 classes, counted from table 1 of the paper; each BatchNorm has two per channel."""
    total, inside = 3 * 3 * 3 * 32 + 2 * 32, 32
    for expansion, kernel, out, blocks in (
        (1, 3, 16, 1), (6, 3, 24, 2), (6, 5, 40, 2), (6, 3, 80, 3), (6, 5, 112, 3), (6, 5, 192, 4), (6, 3, 320, 1),
    ):  # fmt: skip
        for _ in range(blocks):
            hidden = inside * expansion
            expand = inside * hidden + 2 * hidden if expansion > 1 else 0
            total += expand + kernel * kernel * hidden + 2 * hidden + hidden * out + 2 * out
            inside = out
    return total + 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000


def test_lite0_has_the_published_number_of_parameters() -> None:
    outputs, variables = shapes(Model(num_classes=1000, locate=False), (224, 224))
    assert count(variables["params"]) == published_by_hand() == 4_652_008
    assert outputs["features"]["stage7"] == (1, 7, 7, 320)
    assert outputs["features"]["pooled"] == (1, 1280)
    assert "box" not in outputs


# Millions of parameters according to TensorFlow's EfficientNet-Lite page.
@pytest.mark.parametrize(("width", "depth", "published"), [(1.0, 1.1, 5.4), (1.1, 1.2, 6.1), (1.2, 1.4, 8.2), (1.4, 1.8, 13.0)])
def test_lite1_to_lite4_have_the_published_sizes(width: float, depth: float, published: float) -> None:
    _, variables = shapes(Model(num_classes=1000, width=width, depth=depth, locate=False), (224, 224))
    assert round(count(variables["params"]) / 1e6, 1) == published


def test_channels_are_multiples_of_8_and_at_least_nine_tenths_of_the_scaled_number() -> None:
    assert [scaled_channels(c, w) for c, w in ((16, 1.0), (24, 1.1), (40, 1.2), (112, 0.1), (16, 0.1))] == [16, 24, 48, 16, 8]


def test_every_output_stride_has_its_map_sizes_and_the_same_parameters() -> None:
    height, width = 97, 64
    _, plain = shapes(Model(num_classes=10), (height, width))
    for output_stride in (8, 16, 32):
        outputs, variables = shapes(Model(num_classes=10, output_stride=output_stride), (height, width))
        assert variables == plain
        assert outputs["box"] == (1, 4)
        for name, stride in STRIDES.items():
            side = min(stride, output_stride)
            assert outputs["features"][name][1:3] == (-(-height // side), -(-width // side)), (name, output_stride)


def test_dilated_maps_at_every_nth_position_equal_the_plain_maps() -> None:
    fine, plain = (Model(num_classes=10, **TINY, output_stride=stride) for stride in (8, 32))
    variables = randomized(plain, IMAGES)
    expected = jax.jit(lambda v: plain.apply(v, IMAGES, train=False))(variables)["features"]
    dilated = jax.jit(lambda v: fine.apply(v, IMAGES, train=False))(variables)["features"]
    for name in ("stage3", "stage4", "stage5", "stage6", "stage7", "head"):
        step = STRIDES[name] // 8  # with SAME padding on even sizes, the first window of a stride is around the last of its positions
        np.testing.assert_allclose(dilated[name][:, step - 1 :: step, step - 1 :: step], expected[name], rtol=1e-4, atol=1e-4)
        assert np.abs(expected[name]).max() > 0.1
    assert not np.allclose(dilated["head"][:, ::4, ::4], expected["head"], atol=1e-2), "the positions between have the same values"


def test_dropout_applies_to_the_class_features_in_training_only() -> None:
    model = Model(num_classes=10, **TINY, dropout=0.999999)  # all features are dropped for this key, so only the bias is left
    variables = randomized(model, IMAGES)

    @functools.partial(jax.jit, static_argnums=0)
    def logits(train: bool) -> Any:
        return model.apply(variables, IMAGES, train=train, rngs={"dropout": jax.random.key(0)}, mutable=["batch_stats"])[0]["logits"]

    bias = variables["params"]["classes"]["bias"]
    np.testing.assert_array_equal(logits(True), [bias, bias])
    assert np.abs(logits(False) - bias).min(axis=0).max() > 0.1


@pytest.mark.parametrize(
    ("name", "value", "message"), [("output_stride", 4, "8, 16, 32"), ("depth", 0.0, "above 0"), ("width", -1.0, "above 0")]
)
def test_invalid_strides_and_scales_are_refused(name: str, value: float, message: str) -> None:
    assert_refused(lambda: shapes(Model(num_classes=10, **{name: value}), (64, 64)), f"model.{name}", str(value), message)


@pytest.mark.parametrize(
    "block",
    [
        Block(8, expansion=1, kernel=3, stride=1, dilation=1, skip=True),
        Block(12, expansion=6, kernel=5, stride=2, dilation=1, skip=False),
        Block(12, expansion=6, kernel=3, stride=1, dilation=2, skip=False),
    ],
    ids=["skip", "stride", "dilation"],
)
@pytest.mark.parametrize("size", [(12, 12), (11, 7)])
def test_a_block_equals_pytorch_s_layers_with_the_same_weights(block: Block, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra `bench` brings it)")
    functional = torch.nn.functional
    x = np.random.default_rng(1).normal(0, 2, (2, *size, 8)).astype(np.float32)
    variables = randomized(block, x)
    params, stats = variables["params"], variables["batch_stats"]

    def conv_norm(name: str, y: Any, stride: int = 1, dilation: int = 1, groups: int = 1) -> Any:
        kernel = torch.from_numpy(params[name]["kernel"].transpose(3, 2, 0, 1).copy())
        pads = []  # TensorFlow's SAME: what ceil(n / stride) windows need, an odd pixel at the end; columns first
        for length, k in ((y.shape[3], kernel.shape[3]), (y.shape[2], kernel.shape[2])):
            needed = max((-(-length // stride) - 1) * stride + (k - 1) * dilation + 1 - length, 0)
            pads += [needed // 2, needed - needed // 2]
        y = functional.conv2d(functional.pad(y, pads), kernel, stride=stride, dilation=dilation, groups=groups)
        norm = {**stats[f"{name}_norm"], **params[f"{name}_norm"]}
        return functional.batch_norm(y, *(torch.from_numpy(norm[key]) for key in ("mean", "var", "scale", "bias")), eps=1e-3)

    first = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    y = functional.relu6(conv_norm("expand", first)) if block.expansion > 1 else first
    y = functional.relu6(conv_norm("depthwise", y, block.stride, block.dilation, groups=y.shape[1]))
    y = conv_norm("project", y)
    expected = (first + y if block.skip else y).numpy().transpose(0, 2, 3, 1)
    ours = jax.jit(lambda v: block.apply(v, x, train=False))(variables)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
