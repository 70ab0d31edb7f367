"""torchvision's FCOS and SSDLite on a residual network with a feature pyramid, without pretrained weights."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.models.resnet import BasicBlock
from torchvision.ops import FeaturePyramidNetwork

HEADS = ("fcos", "ssdlite")
STEMS = {"resnet": 1, "small": 2}  # name -> stride of the first stage; both reach stride 4 there
MAX_DETECTIONS = 100  # of an image: COCO's metric reads no more
CANDIDATES = 400  # of a level before suppression
SMALLEST_SCORE = 0.001  # average precision reads the whole curve


@dataclass(frozen=True)
class Design:
    """What defines a detector. Width 64 with two blocks and the stem `resnet` is ResNet-18 (He et al., 2016, arXiv:1512.03385)."""

    classes: int
    size: tuple[int, int]  # height and width of the input
    head: str = "fcos"
    channels: int = 3  # of the images
    width: int = 64  # channels of the first stage; each stage has twice as many as the one before
    blocks: int = 2  # of each stage
    stem: str = "resnet"  # 7x7 with stride 2 and max pooling; or small: 3x3 with stride 2
    strides: tuple[int, ...] = (8, 16, 32)  # of the levels of the pyramid, the first at least 4
    pyramid: int = 256  # channels of each level; FCOS needs a multiple of 32
    convs: int = 4  # of each branch of the head of FCOS


class Backbone(nn.Module):
    """A residual network with basic blocks and a feature pyramid (Lin et al., 2017, arXiv:1612.03144)."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        kernel = 7 if design.stem == "resnet" else 3
        stem = nn.Conv2d(design.channels, design.width, kernel, 2, kernel // 2, bias=False)
        pool = [nn.MaxPool2d(3, 2, 1)] if design.stem == "resnet" else []
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(design.width), nn.ReLU(inplace=True), *pool)
        stages, widths, stride, before = [], {}, 4, design.width
        while stride <= design.strides[-1]:
            after = design.width * stride // 4
            stages.append(_stage(before, after, design.blocks, 2 if stride > 4 else STEMS[design.stem]))
            widths[stride] = before = after
            stride *= 2
        self.stages, self.strides, self.levels = nn.ModuleList(stages), tuple(widths), design.strides
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.pyramid = FeaturePyramidNetwork([widths[level] for level in design.strides], design.pyramid)
        self.out_channels = design.pyramid

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Returns the levels of the pyramid by their strides."""
        maps, x = OrderedDict(), self.stem(images)
        for stride, stage in zip(self.strides, self.stages, strict=True):
            x = stage(x)
            if stride in self.levels:
                maps[str(stride)] = x
        return self.pyramid(maps)


def _stage(before: int, after: int, blocks: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride > 1 or before != after:
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
    return nn.Sequential(BasicBlock(before, after, stride, shortcut), *(BasicBlock(after, after) for _ in range(blocks - 1)))


def build(design: Design) -> FCOS | SSD:
    """Returns a detector for images of the design's size, in channels-last layout; labels count from 1."""
    backbone, classes, levels = Backbone(design), design.classes + 1, len(design.strides)
    shared = {"image_mean": [0.5] * design.channels, "image_std": [0.25] * design.channels, "score_thresh": SMALLEST_SCORE}
    shared |= {"detections_per_img": MAX_DETECTIONS, "topk_candidates": CANDIDATES}
    detector: FCOS | SSD
    if design.head == "fcos":
        anchors = AnchorGenerator(tuple((stride,) for stride in design.strides), ((1.0,),) * levels)
        head = FCOSHead(design.pyramid, 1, classes, design.convs)
        detector = FCOS(backbone, classes, anchor_generator=anchors, head=head, **shared)
    else:
        scales = [4 * stride / (design.size[0] * design.size[1]) ** 0.5 for stride in (*design.strides, 2 * design.strides[-1])]
        generator = DefaultBoxGenerator([[2, 3]] * levels, scales=scales, steps=list(design.strides), clip=False)
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)  # those of ssdlite320_mobilenet_v3_large
        lite = SSDLiteHead([design.pyramid] * levels, generator.num_anchors_per_location(), classes, norm)
        detector = SSD(backbone, generator, design.size, classes, head=lite, **shared)
    detector.transform.resize = lambda image, target=None: (image, target)  # images already have the size
    return detector.to(memory_format=torch.channels_last)


def parameters(detector: nn.Module) -> int:
    """Returns the number of trainable parameters."""
    return sum(parameter.numel() for parameter in detector.parameters())
