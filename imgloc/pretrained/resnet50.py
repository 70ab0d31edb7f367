"""ResNet-50 of torchvision (BSD), and of timm, whose names are the same."""

from __future__ import annotations

from imgloc.pretrained.resnet18 import resnet

PRETRAINED = resnet(50, "timm/resnet50.tv_in1k")
