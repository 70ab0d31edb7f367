"""MobileNetV3-Large of timm (Apache 2.0), whose batch normalization has another epsilon than torchvision's."""

from __future__ import annotations

from imgloc.config.pretrained_fields import Pretrained
from imgloc.models.backbones.mobilenet_v3 import block_names
from imgloc.pretrained.loading.imagenet import MEAN, STD
from imgloc.pretrained.loading.inverted_residual import TIMM_WITH_EXPANSION, TIMM_WITHOUT_EXPANSION
from imgloc.pretrained.mobilenet_v3 import MODEL_FIELDS


def _names() -> dict[str, str]:
    names = {
        "stem": "conv_stem", "stem_norm": "bn1", "last": "blocks.6.0.conv", "last_norm": "blocks.6.0.bn1", "hidden": "conv_head",
        "classes": "classifier",
    }  # fmt: skip
    for number, ours in enumerate(block_names()):
        stage, block = ours.removeprefix("stage").split("_block")
        layers = TIMM_WITH_EXPANSION if number else TIMM_WITHOUT_EXPANSION
        names |= {f"{ours}/{layer}": f"blocks.{int(stage) - 1}.{int(block) - 1}.{name}" for layer, name in layers.items()}
    return names


PRETRAINED = Pretrained(
    model="pooled",
    backbone="mobilenet_v3",
    fields={"width": 1.0, "epsilon": 1e-5, "mean": MEAN, "std": STD},
    model_fields=MODEL_FIELDS,
    names=(_names(),),
    classifier_fields={"locate": False},
    size=(224, 224),
    source="https://huggingface.co/timm/mobilenetv3_large_100.ra_in1k",
    hub="timm/mobilenetv3_large_100.ra_in1k",
)
