"""ConvNeXt-Tiny of torchvision (BSD) and of timm (Apache 2.0), under the names of either."""

from __future__ import annotations

from imgloc.config.pretrained_fields import Pretrained
from imgloc.pretrained.loading.imagenet import MEAN, STD

CHANNELS, BLOCKS = (96, 192, 384, 768), (3, 3, 9, 3)
TORCHVISION = {"depthwise": "block.0", "norm": "block.2", "expand": "block.3", "project": "block.5", "layer_scale": "layer_scale"}
TIMM = {"depthwise": "conv_dw", "norm": "norm", "expand": "mlp.fc1", "project": "mlp.fc2", "layer_scale": "gamma"}


def _names() -> tuple[dict[str, str], dict[str, str]]:
    torchvision = {"stem": "features.0.0", "stem_norm": "features.0.1", "norm": "classifier.0", "classes": "classifier.2"}
    timm = {"stem": "stem.0", "stem_norm": "stem.1", "norm": "head.norm", "classes": "head.fc"}
    for stage, blocks in enumerate(BLOCKS, start=1):
        if stage > 1:
            place = 2 * (stage - 1)
            torchvision |= {f"stage{stage}_norm": f"features.{place}.0", f"stage{stage}_reduce": f"features.{place}.1"}
            timm |= {f"stage{stage}_norm": f"stages.{stage - 1}.downsample.0", f"stage{stage}_reduce": f"stages.{stage - 1}.downsample.1"}
        for block in range(blocks):
            ours = f"stage{stage}_block{block + 1}"
            torchvision |= {f"{ours}/{layer}": f"features.{2 * stage - 1}.{block}.{name}" for layer, name in TORCHVISION.items()}
            timm |= {f"{ours}/{layer}": f"stages.{stage - 1}.blocks.{block}.{name}" for layer, name in TIMM.items()}
    return torchvision, timm


PRETRAINED = Pretrained(
    model="pooled",
    backbone="convnext",
    fields={"channels": CHANNELS, "blocks": BLOCKS, "mean": MEAN, "std": STD},
    model_fields={"norm": True},
    names=_names(),
    classifier_fields={"locate": False},
    size=(224, 224),
    source="https://docs.pytorch.org/vision/stable/models/convnext.html",
    hub="timm/convnext_tiny.fb_in1k",
)
