"""ResNet-18 of torchvision (BSD), and of timm, whose names are the same."""

from __future__ import annotations

from imgloc.config.pretrained_fields import Pretrained
from imgloc.models.backbones.resnet import BOTTLENECK, STAGES
from imgloc.pretrained.loading.imagenet import MEAN, STD


def resnet(depth: int, hub: str) -> Pretrained:
    """The weights of a residual network of 18 or 50 layers, with the repository that has them."""
    layers = {"shortcut": "downsample.0", "shortcut_norm": "downsample.1"}
    for number in range(1, 4 if depth in BOTTLENECK else 3):
        layers |= {f"conv{number}": f"conv{number}", f"norm{number}": f"bn{number}"}
    blocks = [(stage, block) for stage, count in enumerate(STAGES[depth], start=1) for block in range(count)]
    return Pretrained(
        model="resnet",
        backbone="resnet",
        fields={"depth": depth, "width": 64, "mean": MEAN, "std": STD},
        names=(
            {
                "stem": "conv1", "stem_norm": "bn1", "classes": "fc",
                **{f"stage{s}_block{b + 1}/{ours}": f"layer{s}.{b}.{theirs}" for s, b in blocks for ours, theirs in layers.items()},
            },
        ),
        task="localize_from_labels",
        classifier_fields={"locate": False, "score_maps": True},
        size=(224, 224),
        source="https://docs.pytorch.org/vision/stable/models/resnet.html",
        hub=hub,
    )  # fmt: skip


PRETRAINED = resnet(18, "timm/resnet18.tv_in1k")
