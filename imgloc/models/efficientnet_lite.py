"""EfficientNet-Lite with heads for the class and the box; see `imgloc.models.backbones.efficientnet_lite`."""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc.models.backbones.efficientnet_lite import STAGES, Backbone, norm
from imgloc.models.heads.class_and_box import class_and_box
from imgloc.nn.conv import Conv
from imgloc.nn.dropout import Dropout
from imgloc.nn.inverted_residual import DENSE_INIT
from imgloc.types import Outputs

TINY = {"width": 0.1, "depth": 0.25, "head": 64}
VARIANTS = {"score_maps": {**TINY, "score_maps": True}}

INPUT_FIELDS = ("dropout",)  # inputs of the compiled training step


class Model(nn.Module):
    """Outputs: logits; box with `locate`; score_maps if set; features: stem, stage1 to stage7 and head (b, h, w, c), pooled (b, head).

    Width and depth are 1 and 1 for Lite0; for Lite1 to Lite4: 1 and 1.1, 1.1 and 1.2, 1.2 and 1.4, 1.4 and 1.8.
    """

    num_classes: int
    width: float = 1.0  # scale of the number of channels of the stages
    depth: float = 1.0  # scale of the number of blocks in all stages but the first and the last
    head: int = 1280  # channels after the stages; not scaled
    dropout: float = 0.2  # of the features that the class is predicted from
    output_stride: int = 32  # image pixels per cell of the last feature map: 8, 16 or 32
    mean: tuple[float, ...] = (0.0,)  # subtracted from the images: one number, or one for each channel
    std: tuple[float, ...] = (1.0,)  # that the images are divided by then
    locate: bool = True  # adds a box head
    score_maps: bool = False  # adds class activation maps

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        backbone = Backbone(self.width, self.depth, self.output_stride, self.mean, self.std)
        nn.share_scope(self, backbone)
        *finer, last_bxsxhxwxd = backbone(images, train=train)
        names = ("stem", *(f"stage{number}" for number in range(1, len(STAGES) + 1)))
        features = dict(zip(names, (*finer, last_bxsxhxwxd[:, 0]), strict=True))
        x = Conv(self.head, (1, 1), use_bias=False, kernel_init=DENSE_INIT, name="head")(last_bxsxhxwxd[:, 0])
        features["head"] = x = nn.relu6(norm(train, "head_norm")(x))
        features["pooled"] = pooled = x.mean(axis=(1, 2))
        dropped = Dropout(self.dropout, deterministic=not train)(pooled)
        box_features, maps = pooled if self.locate else None, x if self.score_maps else None
        return {**class_and_box(dropped, box_features, num_classes=self.num_classes, maps_bxhxwxc=maps), "features": features}
