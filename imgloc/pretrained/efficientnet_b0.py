"""EfficientNet-B0 of torchvision (BSD) and of timm (Apache 2.0), under the names of either."""

from __future__ import annotations

from imgloc.config.pretrained_fields import Pretrained
from imgloc.models.backbones.efficientnet_lite import STAGES
from imgloc.pretrained.loading.imagenet import MEAN, STD
from imgloc.pretrained.loading.inverted_residual import TIMM_WITH_EXPANSION, TIMM_WITHOUT_EXPANSION, torchvision_layers

TORCHVISION = {
    "stem": "features.0.0",
    "stem_norm": "features.0.1",
    "last": "features.8.0",
    "last_norm": "features.8.1",
    "classes": "classifier.1",
}
TIMM = {"stem": "conv_stem", "stem_norm": "bn1", "last": "conv_head", "last_norm": "bn2", "classes": "classifier"}


def _names() -> tuple[dict[str, str], dict[str, str]]:
    torchvision, timm = dict(TORCHVISION), dict(TIMM)
    for number, stage in enumerate(STAGES, start=1):
        for block in range(stage.blocks):
            ours, expands = f"stage{number}_block{block + 1}", stage.expansion > 1
            layers = torchvision_layers(expands=expands)
            torchvision |= {f"{ours}/{layer}": f"features.{number}.{block}.{name}" for layer, name in layers.items()}
            in_timm = TIMM_WITH_EXPANSION if expands else TIMM_WITHOUT_EXPANSION
            timm |= {f"{ours}/{layer}": f"blocks.{number - 1}.{block}.{name}" for layer, name in in_timm.items()}
    return torchvision, timm


PRETRAINED = Pretrained(
    model="pooled",
    backbone="efficientnet",
    fields={"width": 1.0, "depth": 1.0, "last": 1280, "mean": MEAN, "std": STD},
    names=_names(),
    classifier_fields={"locate": False},
    size=(224, 224),
    source="https://docs.pytorch.org/vision/stable/models/efficientnet.html",
    hub="timm/efficientnet_b0.ra_in1k",
)
