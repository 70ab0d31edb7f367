"""MobileNetV3-Large of torchvision (BSD)."""

from __future__ import annotations

from imgloc.config.pretrained_fields import Pretrained
from imgloc.models.backbones.mobilenet_v3 import BLOCKS, STEM, block_names
from imgloc.pretrained.loading.imagenet import MEAN, STD
from imgloc.pretrained.loading.inverted_residual import torchvision_layers

MODEL_FIELDS = {"hidden": 1280, "activation": "hard_swish"}


def _names() -> dict[str, str]:
    names = {
        "stem": "features.0.0", "stem_norm": "features.0.1", "last": "features.16.0", "last_norm": "features.16.1",
        "hidden": "classifier.0", "classes": "classifier.3",
    }  # fmt: skip
    channels = STEM
    for number, (row, ours) in enumerate(zip(BLOCKS, block_names(), strict=True), start=1):
        layers = torchvision_layers(expands=row.hidden != channels, squeezes=row.squeezed)
        names |= {f"{ours}/{layer}": f"features.{number}.{name}" for layer, name in layers.items()}
        channels = row.channels
    return names


PRETRAINED = Pretrained(
    model="pooled",
    backbone="mobilenet_v3",
    fields={"width": 1.0, "epsilon": 1e-3, "mean": MEAN, "std": STD},
    model_fields=MODEL_FIELDS,
    names=(_names(),),
    classifier_fields={"locate": False},
    size=(224, 224),
    source="https://docs.pytorch.org/vision/stable/models/mobilenetv3.html",
)
