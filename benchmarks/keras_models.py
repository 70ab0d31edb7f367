"""The models of the works in Keras, with the same layers as imgloc's."""

from __future__ import annotations

from typing import Any

from keras import Input, Model, layers

from benchmarks.works import LITE0_STAGES, RESNETS, Work

CELLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "elman": (layers.SimpleRNN, {}),
    "irnn": (layers.SimpleRNN, {"activation": "relu", "recurrent_initializer": "identity"}),
    "lstm": (layers.LSTM, {}),
    "gru": (layers.GRU, {}),
}


def make_model(work: Work) -> Any:
    """Returns the model of a work for images (b, h, w, c)."""
    inputs = Input((work.size, work.size, work.channels))
    if work.model == "lstm":
        x = layers.LSTM(50)(layers.Reshape((work.size, work.size * work.channels))(inputs))
    elif work.model == "recurrence":
        x = _recurrence(inputs, work)
    elif work.model == "three_layer_cnn":
        x = _three_layer_cnn(inputs)
    elif work.model == "digits_cnn":
        x = _digits_cnn(inputs)
    elif work.model == "efficientnet_lite0":
        x = _efficientnet_lite0(inputs)
    else:
        x = _resnet(inputs, *RESNETS[work.model])
    return Model(inputs, layers.Dense(work.classes)(x))


def _recurrence(x: Any, work: Work) -> Any:
    if work.order == "maps":
        sequence = layers.Reshape((work.channels, work.size, work.size, 1))(layers.Permute((3, 1, 2))(x))
        return layers.GlobalAveragePooling2D()(layers.ConvLSTM2D(work.units, 3, padding="same")(sequence))
    inputs = work.size if work.order == "rows" else 1
    layer, options = CELLS[work.cell]
    return layer(work.units, **options)(layers.Reshape((-1, inputs))(x))


def _three_layer_cnn(x: Any) -> Any:
    for features in (32, 64, 128):
        x = layers.MaxPooling2D(2)(layers.Conv2D(features, 3, activation="relu")(x))
    return layers.Dense(512, activation="relu")(layers.Flatten()(x))


def _digits_cnn(x: Any) -> Any:
    for i, features in enumerate((16, 32, 32, 64, 64)):
        x = layers.ReLU()(layers.GroupNormalization(8)(layers.Conv2D(features, 3, padding="same")(x)))
        x = layers.MaxPooling2D(2)(x) if i % 2 == 0 else x
    return layers.Dense(128, activation="relu")(layers.Flatten()(x))


def _normed(x: Any, features: int, kernel: int, stride: int, highest: float | None = None, *, activate: bool = True) -> Any:
    x = layers.Conv2D(features, kernel, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU(highest)(x) if activate else x


def _resnet(x: Any, bottleneck: bool, blocks: tuple[int, ...]) -> Any:
    x = layers.MaxPooling2D(3, 2, padding="same")(_normed(x, 64, 7, 2))
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        after = 4 * width if bottleneck else width
        for i in range(count):
            stride = 2 if stage > 0 and i == 0 else 1
            if bottleneck:
                body = _normed(_normed(_normed(x, width, 1, 1), width, 3, stride), after, 1, 1, activate=False)
            else:
                body = _normed(_normed(x, width, 3, stride), width, 3, 1, activate=False)
            same = stride == 1 and x.shape[-1] == after
            x = layers.ReLU()(layers.Add()([body, x if same else _normed(x, after, 1, stride, activate=False)]))
    return layers.GlobalAveragePooling2D()(x)


def _efficientnet_lite0(x: Any) -> Any:
    x = _normed(x, 32, 3, 2, 6.0)
    for repeats, kernel, first_stride, expansion, features in LITE0_STAGES:
        for i in range(repeats):
            stride, before = (first_stride if i == 0 else 1), x.shape[-1]
            y = x if expansion == 1 else _normed(x, before * expansion, 1, 1, 6.0)
            y = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False)(y)
            y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
            y = _normed(y, features, 1, 1, activate=False)
            x = layers.Add()([x, y]) if stride == 1 and before == features else y
    return layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(_normed(x, 1280, 1, 1, 6.0)))
